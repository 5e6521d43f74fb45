package daemon

import (
	"math"
	"testing"

	"knockd/internal/doors"
)

func TestWorkersFitTheLimit(t *testing.T) {
	for _, c := range []struct {
		limit uint64
		open  int
		want  int
	}{
		{math.MaxUint64, 20, doors.MaxRunning}, {1 << 20, 20, doors.MaxRunning}, {1024, 20, doors.MaxRunning},
		{256, 20, 54}, {64, 16, 7}, {48, 16, 3}, {40, 16, 2}, {16, 16, 2}, {0, 16, 2},
	} {
		if got := workersFor(c.limit, c.open); got != c.want {
			t.Errorf("limit %d, %d open: %d workers, want %d", c.limit, c.open, got, c.want)
		}
	}
}
