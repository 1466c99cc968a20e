package collect

import (
	"errors"
	"io"
	"net/http"
	"time"

	"pinwheel/internal/depot"
)

// stall is how long an upload may bring nothing before it is given up. It bounds
// the pause, not the whole: a 100 MB wheel over a slow line takes its time.
const stall = 30 * time.Second

// deadlined moves the connection's read deadline on with every read.
type deadlined struct {
	body io.Reader
	ctl  *http.ResponseController
}

func (d *deadlined) Read(p []byte) (int, error) {
	// A connection that knows no deadline (a test's recorder) has none to move.
	if err := d.ctl.SetReadDeadline(time.Now().Add(stall)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return d.body.Read(p)
}

// uploadStatus says whose fault it was: the sender's, or ours to be tried again.
func uploadStatus(err error) int {
	if errors.Is(err, depot.ErrMismatch) {
		return http.StatusUnprocessableEntity
	}
	return http.StatusServiceUnavailable
}
