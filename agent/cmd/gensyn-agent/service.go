package main

import "context"

// order is what a manager of services asks of one.
type order int

const (
	orderStop order = iota
	orderTell       // say again how it stands
	orderOther
)

// stage is how a service stands.
type stage int

const (
	stageStarting stage = iota
	stageRunning
	stageStopping
	stageStopped
)

// serve runs the agent as a service: it tells the manager each stage, obeys its orders, and returns the exit status of
// run, which ends soon after its context. The manager does not like to wait, so all orders are answered at once.
func serve(ctx context.Context, run func(context.Context) int, orders <-chan order, tell func(stage)) int {
	tell(stageStarting)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan int, 1)
	go func() { ended <- run(ctx) }()
	now := stageRunning
	tell(now)
	for {
		select {
		case code := <-ended:
			tell(stageStopped)
			return code
		case o, ok := <-orders:
			switch {
			case !ok || o == orderStop:
				if !ok {
					orders = nil
				}
				now = stageStopping
				stop()
				tell(now)
			case o == orderTell:
				tell(now)
			}
		}
	}
}
