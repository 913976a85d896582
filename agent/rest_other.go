//go:build !linux

package agent

func pageOut() {}
