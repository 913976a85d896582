//go:build !windows

package host

import "github.com/gensyn-monitor/gensyn-monitor/contract"

// system has nothing to add to the proc file system, where there is one.
func (r *Reader) system(*contract.Metrics) {}
