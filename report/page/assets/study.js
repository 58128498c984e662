// Pages of sweeps and explorations.
function study() { return []; }
