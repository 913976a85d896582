//go:build !unix

package workload_test

import (
	"testing"
	"time"
)

var start = time.Now()

// processorTime is that of the wall here.
func processorTime(*testing.T) time.Duration { return time.Since(start) }
