package pip

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"pinwheel/internal/farm"
)

// toldLines is how many of a child's last lines go into an error.
const toldLines = 3

// told adds to an error the last lines that the child said, on one line.
func told(err error, output string) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if last := lastLines(output); last != "" {
		return fmt.Errorf("%w: %s", err, last)
	}
	return err
}

func lastLines(output string) string {
	var kept []string
	for _, l := range strings.Split(farm.Clean(output), "\n") {
		if l = strings.TrimSpace(l); l != "" && !strings.HasPrefix(l, "[notice]") {
			kept = append(kept, l)
		}
	}
	return strings.Join(kept[max(0, len(kept)-toldLines):], " | ")
}
