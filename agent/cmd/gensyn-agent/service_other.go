//go:build !windows

package main

import (
	"context"
	"errors"
)

// asService is for Windows: elsewhere a service is a program like any other.
func asService(context.Context, func(context.Context) int) (int, error) {
	return misused, errors.New("--service is for Windows alone")
}
