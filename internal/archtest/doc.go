// Package archtest keeps the shape of this repository: which package may import
// which, who owns which dependency, which folders there are. Its tables are the
// design; a change to them wants a line in docs/decisions.
//
// It is not a linter: what needs types or style rules is in .golangci.yml.
package archtest
