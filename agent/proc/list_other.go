//go:build !unix && !windows

package proc

import "context"

var list func(ctx context.Context) ([]listing, error)
