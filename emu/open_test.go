package emu_test

import (
	"testing"

	"hilnet/scenarios"
)

func scenario(t *testing.T, text string) *scenarios.Scenario {
	t.Helper()
	sc, err := scenarios.Load("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return sc
}

func library(t *testing.T, name string) *scenarios.Scenario {
	t.Helper()
	sc, err := scenarios.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	return sc
}
