//go:build race

package workload_test

// raceDetector is on: everything takes longer.
const raceDetector = true
