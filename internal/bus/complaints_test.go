package bus

import (
	"errors"
	"testing"
	"time"
)

func TestComplaintsAreToldOnceAMinute(t *testing.T) {
	now, told := time.Unix(1, 0), 0
	complain := complaints(func(error) { told++ }, func() time.Time { return now })
	for range 5 * 60 {
		complain(nil, nil, errors.New("slow"))
		now = now.Add(time.Second)
	}
	if told != 5 {
		t.Errorf("told %d times in 5 minutes, want 5", told)
	}
	complaints(nil, time.Now)(nil, nil, errors.New("nobody listens"))
}
