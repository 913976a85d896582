//go:build !race

package notifier

const raceDetector = false
