//go:build race

package notifier

const raceDetector = true
