package program

import "runtime"

// HalfTheCores leaves half of the cores to what runs beside this program, unless GOMAXPROCS, whose value is given, is set.
// Where many small things happen one after the other, Go's threads on further cores mostly look for work to steal from each
// other: on two cores a fifth of the processor time of a saturated pipeline, a quarter of that of a standalone with 170
// heartbeats a second.
func HalfTheCores(set string) {
	if set == "" {
		runtime.GOMAXPROCS(max(1, runtime.GOMAXPROCS(0)/2))
	}
}
