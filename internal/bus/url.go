package bus

import (
	"errors"
	"net/url"
	"strings"
)

// CheckURL refuses what cannot be the URL of a NATS server, or several separated
// by commas: a connection that waits for its server would wait for this one for
// ever. The error does not repeat it, for there may be a password in it.
func CheckURL(list string) error {
	for one := range strings.SplitSeq(list, ",") {
		if one = strings.TrimSpace(one); !strings.Contains(one, "://") {
			one = "nats://" + one // as the client takes it
		}
		if u, err := url.Parse(one); err != nil || !mayBeServer(u) {
			return errors.New("want nats://HOST:4222 (or tls, ws, wss), several separated by commas")
		}
	}
	return nil
}

func mayBeServer(u *url.URL) bool {
	host := u.Hostname()
	if host == "" || strings.Contains(host, ":") && !strings.HasPrefix(u.Host, "[") {
		return false
	}
	switch u.Scheme {
	case "nats", "tls":
		return strings.Trim(u.Path, "/") == ""
	case "ws", "wss":
		return true // a proxy may have it below a path
	}
	return false
}
