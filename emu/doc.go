// Package emu builds a world from a scenario, runs it and judges it: devices,
// links and a broker on one event loop, with everything that happens recorded.
//
// It is the library behind the command of the same name. It reads no
// configuration, prints nothing and never ends the process.
//
//	sc, err := scenarios.Open("link-drop")
//	…
//	result, err := emu.Run(ctx, sc, emu.Options{Out: "out"})
//
// A run belongs to the goroutine that called [World.Run]; only [World.Observe]
// and, in real time, [World.Do] may be called from another one while it runs.
// Several worlds may run side by side on goroutines of their own.
package emu
