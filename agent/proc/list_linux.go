package proc

import "context"

// list is not needed where there is a proc file system.
var list func(ctx context.Context) ([]listing, error)
