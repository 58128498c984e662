package rtos

import "slices"

// queue holds suspended threads, first come first served.
type queue struct{ threads []*Thread }

func (q *queue) push(t *Thread) { q.threads = append(q.threads, t) }

// pop removes the thread that has waited longest, nil if there is none.
func (q *queue) pop() *Thread {
	if len(q.threads) == 0 {
		return nil
	}
	t := q.threads[0]
	q.threads = slices.Delete(q.threads, 0, 1)
	return t
}

func (q *queue) remove(t *Thread) {
	if i := slices.Index(q.threads, t); i >= 0 {
		q.threads = slices.Delete(q.threads, i, i+1)
	}
}

// A Mutex is a recursive ThreadX mutex without priority inheritance. Waiters
// get it in the order they came, whatever their priority.
type Mutex struct {
	kernel  *Kernel
	name    string
	what    string
	owner   *Thread
	count   int
	deleted bool
	waiters queue
}

// NewMutex returns a free mutex.
func NewMutex(k *Kernel, name string) *Mutex {
	return &Mutex{kernel: k, name: name, what: "mutex " + name}
}

// Owner returns the thread that holds the mutex, nil if none.
func (m *Mutex) Owner() *Thread { return m.owner }

// Get takes the mutex, waiting at most wait ticks, and reports whether the
// caller holds it now. Only a thread may own a mutex: from interrupt context
// Get panics.
func (m *Mutex) Get(wait Ticks) bool {
	t := m.kernel.waiter(m.what)
	switch {
	case m.deleted:
		return false
	case m.count == 0:
		m.owner, m.count = t, 1
		return true
	case m.owner == t:
		m.count++
		return true
	case wait == NoWait:
		return false
	}
	return t.suspend(m.what, &m.waiters, wait)
}

// Put gives the mutex up once, and reports false if the caller does not own it.
// The last Put hands it to the thread that has waited longest.
func (m *Mutex) Put() bool {
	if t := m.kernel.Current(); t == nil || m.owner != t {
		return false
	}
	m.count--
	if m.count > 0 {
		return true
	}
	m.owner = m.waiters.pop()
	if m.owner == nil {
		return true
	}
	m.count = 1
	m.owner.wake(true)
	m.kernel.preempt()
	return true
}

// Delete ends the mutex: waiting and later Gets fail.
func (m *Mutex) Delete() {
	m.deleted = true
	m.owner, m.count = nil, 0
	for t := m.waiters.pop(); t != nil; t = m.waiters.pop() {
		t.wake(false)
	}
	m.kernel.preempt()
}

// EventFlags is a ThreadX event flags group.
type EventFlags struct {
	kernel  *Kernel
	what    string
	flags   uint32
	deleted bool
	waiters queue
}

// NewEventFlags returns a group with no flag set.
func NewEventFlags(k *Kernel, name string) *EventFlags {
	return &EventFlags{kernel: k, what: "event flags " + name}
}

// Flags returns the flags that are set.
func (e *EventFlags) Flags() uint32 { return e.flags }

// Set sets flags and wakes every thread whose request they satisfy. All see the
// same flags; those that clear do it for later Gets: tx_event_flags_set.
func (e *EventFlags) Set(flags uint32) {
	e.flags |= flags
	seen := e.flags
	kept := e.waiters.threads[:0]
	woken := false
	for _, t := range e.waiters.threads {
		if !satisfied(seen, t.wait.want, t.wait.all) {
			kept = append(kept, t)
			continue
		}
		t.wait.flags = seen
		if t.wait.clear {
			e.flags &^= t.wait.want
		}
		t.wake(true)
		woken = true
	}
	clear(e.waiters.threads[len(kept):])
	e.waiters.threads = kept
	if woken {
		e.kernel.preempt()
	}
}

// Clear clears flags: tx_event_flags_set with TX_AND.
func (e *EventFlags) Clear(flags uint32) { e.flags &^= flags }

// Get waits until one (or) or all of the wanted flags are set and returns all
// flags as they were then. With clr the wanted flags are cleared.
func (e *EventFlags) Get(want uint32, or, clr bool, wait Ticks) (uint32, bool) {
	if e.deleted {
		return 0, false
	}
	if satisfied(e.flags, want, !or) {
		flags := e.flags
		if clr {
			e.flags &^= want
		}
		return flags, true
	}
	if wait == NoWait {
		return 0, false
	}
	t := e.kernel.waiter(e.what)
	t.wait.want, t.wait.all, t.wait.clear = want, !or, clr
	if !t.suspend(e.what, &e.waiters, wait) {
		return 0, false
	}
	return t.wait.flags, true
}

// Delete ends the group: waiting and later Gets fail.
func (e *EventFlags) Delete() {
	e.deleted = true
	for t := e.waiters.pop(); t != nil; t = e.waiters.pop() {
		t.wake(false)
	}
	e.kernel.preempt()
}

func satisfied(have, want uint32, all bool) bool {
	if all {
		return have&want == want
	}
	return have&want != 0
}

// A WaitQueue lets threads wait for something that is handed to them one by
// one, first come first served: packets of a pool, data on a socket.
type WaitQueue struct {
	kernel  *Kernel
	what    string
	waiters queue
}

// NewWaitQueue returns an empty queue; what says in reports what is waited for.
func NewWaitQueue(k *Kernel, what string) *WaitQueue {
	return &WaitQueue{kernel: k, what: what}
}

// Len returns the number of threads that wait.
func (q *WaitQueue) Len() int { return len(q.waiters.threads) }

// Suspend makes the current thread wait at most wait ticks for a Wake and
// returns what that handed over. With NoWait it returns at once. It panics in
// interrupt context with any other wait.
func (q *WaitQueue) Suspend(wait Ticks) (handed any, ok bool) {
	if wait == NoWait {
		return nil, false
	}
	t := q.kernel.waiter(q.what)
	if !t.suspend(q.what, &q.waiters, wait) {
		return nil, false
	}
	handed = t.wait.handed
	t.wait.handed = nil
	return handed, true
}

// Wake hands v to the thread that has waited longest and reports whether there
// was one.
func (q *WaitQueue) Wake(v any) bool {
	t := q.waiters.pop()
	if t == nil {
		return false
	}
	t.wait.handed = v
	t.wake(true)
	q.kernel.preempt()
	return true
}

// Flush makes every waiting Suspend fail, as when the object is deleted.
func (q *WaitQueue) Flush() {
	for t := q.waiters.pop(); t != nil; t = q.waiters.pop() {
		t.wake(false)
	}
	q.kernel.preempt()
}
