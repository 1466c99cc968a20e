package monitor

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"pinwheel/internal/farm"
)

// The few styles there are. All that they say stands in words too, for terminals
// without colour and people who do not see it.
const (
	bold    = "1"
	faint   = "2"
	reverse = "7"
	red     = "31"
	green   = "32"
	yellow  = "33"
	cyan    = "36"
)

func styled(style, s string) string {
	if style == "" || s == "" {
		return s
	}
	return "\x1b[" + style + "m" + s + "\x1b[0m"
}

// clean is foreign text in one line in which nothing steers a terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		return r
	}, farm.Clean(s))
}

// cut makes text at most so many columns wide; it may hold styles.
func cut(s string, wide int) string {
	if wide <= 0 {
		return ""
	}
	return ansi.Truncate(s, wide, "…")
}

// ascii has other signs for ours, and one for all that others wrote.
func ascii(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < 0x80:
			return r
		case r == '…':
			return '~'
		case r == '°':
			return ' '
		}
		return '?'
	}, s)
}

// fit makes text exactly so wide.
func fit(s string, wide int) string {
	s = cut(s, wide)
	return s + strings.Repeat(" ", max(0, wide-ansi.StringWidth(s)))
}

// right is fit for numbers.
func right(s string, wide int) string {
	s = cut(s, wide)
	return strings.Repeat(" ", max(0, wide-ansi.StringWidth(s))) + s
}

// number is at most six columns wide: 99,999, 123k, 4.5M.
func number(n int64) string {
	switch {
	case n >= 100_000_000:
		return fmt.Sprintf("%dM", n/1_000_000)
	case n >= 1_000_000:
		return fmt.Sprintf("%.1fM", float64(n/100_000)/10)
	case n >= 100_000:
		return fmt.Sprintf("%dk", n/1000)
	case n >= 1000:
		return fmt.Sprintf("%d,%03d", n/1000, n%1000)
	}
	return strconv.FormatInt(n, 10)
}

// size is bytes in at most five columns: 512M, 1.8G, 120G.
func size(n int64) string {
	units := []string{"B", "k", "M", "G", "T", "P"}
	f, u := float64(max(n, 0)), 0
	for f >= 1000 && u < len(units)-1 {
		f, u = f/1024, u+1
	}
	if f < 9.95 && u > 0 {
		return fmt.Sprintf("%.1f%s", f, units[u])
	}
	return fmt.Sprintf("%.0f%s", f, units[u])
}

// age is a duration in at most six columns: 12s, 3m04, 5h12, 12d.
func age(d time.Duration) string {
	d = max(d, 0).Truncate(time.Second)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%02d", d/time.Minute, d%time.Minute/time.Second)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02d", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

// plural is "1 job", "2 jobs".
func plural(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + one + "s"
}

// spark draws the last values, oldest first, each in one column, from low to high. What
// was not seen is blank.
func spark(values []float64, wide int, low, high float64, ascii bool) string {
	steps := []rune("▁▂▃▄▅▆▇█")
	if ascii {
		steps = []rune("_.:-=+*#")
	}
	if len(values) > wide {
		values = values[len(values)-wide:]
	}
	var b strings.Builder
	for _, v := range values {
		at := 0
		if high > low {
			at = int((v - low) / (high - low) * float64(len(steps)))
		}
		b.WriteRune(steps[min(max(at, 0), len(steps)-1)])
	}
	return right(b.String(), wide)
}

func width(s string) int { return ansi.StringWidth(s) }

// plainText is s without styles.
func plainText(s string) string { return ansi.Strip(s) }

// tail is the end of a text that is too wide.
func tail(s string, wide int) string {
	if over := width(s) - wide; over > 0 {
		return ansi.TruncateLeft(s, over+1, "…")
	}
	return s
}
