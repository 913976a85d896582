//go:build !linux && !darwin && !windows

package host

func systemDisk() string { return "/" }

func space(string) (total, free int64, ok bool) { return 0, 0, false }
