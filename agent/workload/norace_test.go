//go:build !race

package workload_test

const raceDetector = false
