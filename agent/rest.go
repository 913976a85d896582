package agent

import "runtime/debug"

// Rest gives memory back to the system: an agent sleeps most of its life, and what it used to send one heartbeat would
// stay with it until the next.
func Rest() {
	debug.FreeOSMemory()
	pageOut()
}
