//go:build !race

package web

// slower is how much longer everything may take with the race detector.
const slower = 1
