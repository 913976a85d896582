//go:build unix && !linux

package proc

import "context"

var list func(ctx context.Context) ([]listing, error) = listPS
