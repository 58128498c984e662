// Package rtos is ThreadX in small, on sim Tasks: threads with priorities,
// recursive mutexes, event flags, application timers and suspension queues, all
// in virtual time. It exists so that firmware-like code, and the NetX MQTT
// client, wait, preempt and time out as they do on a board.
//
// It is not an instruction-level model: code between two waits takes no time,
// so there are no time slices, and interrupts are never masked.
//
// # Who runs
//
// A ready thread of the highest priority (the lowest number) runs until it
// waits. A thread made ready by the running one takes over before that call
// returns if its priority is higher; among equals the one that has been ready
// longest runs first, and a preempted thread keeps its place. That is
// _tx_thread_system_resume and _tx_thread_system_preempt_check of ThreadX.
//
// Everything runs on the loop's goroutine. A call from an event handler, or
// from a Task that is no thread of the kernel, is a call from interrupt
// context: it may not wait, and what it makes ready runs in an event of its
// own, at the same moment, after the events that are due already.
//
// # Ticks
//
// Tick n of a kernel is the moment n/TicksPerSecond after its start. A wait of
// n ticks ends at the n-th tick after the call, so it lasts between n-1 and n
// tick lengths; a call exactly on a tick waits n whole lengths. That is what
// ThreadX does: _tx_timer_system_activate puts a timer n-1 slots after the slot
// that the next tick interrupt examines.
//
// Reading list: ThreadX 6.4.2, common/src: tx_thread_system_resume.c,
// tx_thread_priority_change.c, tx_thread_timeout.c, tx_mutex_get.c,
// tx_mutex_put.c, tx_event_flags_set.c, tx_event_flags_get.c,
// tx_timer_system_activate.c, tx_timer_deactivate.c, tx_timer_thread_entry.c.
package rtos
