package extract

import "errors"

// Single extracts conditions.
func Single(c *Capture) (*Conditions, error) { return nil, errors.New("not yet") }
