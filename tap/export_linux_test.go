package tap

// ExplainOpen lets tests see errors that this machine does not give.
var ExplainOpen = explainOpen
