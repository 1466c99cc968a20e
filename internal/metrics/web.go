package metrics

import (
	"io"
	"net/http"
	"strings"
	"time"
)

// HTTP measures the answers of a handler whose last step is an http.ServeMux: its
// patterns are the only values of the label.
func (m *Metrics) HTTP(next http.Handler) http.Handler {
	if m == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began, spy := time.Now(), &spy{ResponseWriter: w}
		defer func() { // also when it gives up with a panic, as net/http lets it
			m.visits.WithLabelValues(handlerOf(r.Pattern), classOf(spy.code)).Observe(time.Since(began).Seconds())
		}()
		next.ServeHTTP(spy, r)
	})
}

// handlerOf is a pattern without its method and its signs: "/simple/{project}/".
func handlerOf(pattern string) string {
	if pattern == "" {
		return "none" // nothing matched
	}
	_, path, ok := strings.Cut(pattern, " ")
	if !ok {
		path = pattern
	}
	return strings.ReplaceAll(path, "{$}", "")
}

func classOf(code int) string {
	switch {
	case code == 0:
		return "2xx" // it wrote nothing, which net/http makes a 200
	case code < 200:
		return "1xx"
	case code < 300:
		return "2xx"
	case code < 400:
		return "3xx"
	case code < 500:
		return "4xx"
	}
	return "5xx"
}

// spy sees the status of an answer.
type spy struct {
	http.ResponseWriter
	code int
}

// WriteHeader implements http.ResponseWriter.
func (s *spy) WriteHeader(code int) {
	if s.code == 0 || s.code < 200 {
		s.code = code
	}
	s.ResponseWriter.WriteHeader(code)
}

// ReadFrom implements io.ReaderFrom: without it, files would not go from disk to network
// by the kernel alone.
func (s *spy) ReadFrom(r io.Reader) (int64, error) { return io.Copy(s.ResponseWriter, r) }

// Unwrap is for http.ResponseController.
func (s *spy) Unwrap() http.ResponseWriter { return s.ResponseWriter }
