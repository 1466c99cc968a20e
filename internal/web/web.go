package web

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/depot"
	"pinwheel/internal/store"
)

// Depot is where the logs of builds are.
type Depot interface {
	// Open opens a file by its SHA-256; farm.ErrNotFound if it is not there.
	Open(sha256 string) (depot.File, error)
}

// Store is what web asks of the database.
type Store interface {
	Ping(ctx context.Context) error
	Status(ctx context.Context) (store.Status, error)
	// Build finds a build by its number; farm.ErrNotFound if there is none.
	Build(ctx context.Context, id int64) (store.BuildRow, error)
}

// Config says what the site is made of.
type Config struct {
	Store   Store
	Depot   Depot
	SiteDir string // as publish writes it
	Log     zerolog.Logger
	Upload  http.Handler     // mounted at PUT /upload/; nil: no uploads
	Version string           // of the program, for people
	Now     func() time.Time // the clock; nil: time.Now
}

type site struct{ Config }

// New makes the handler of the whole site. Paths are matched with their method:
// another one is answered with 405 and what is allowed.
func New(cfg Config) http.Handler {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Log = cfg.Log.With().Str("part", "web").Logger()
	s := &site{cfg}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.start)
	mux.HandleFunc("GET /simple", s.toIndex)
	mux.HandleFunc("GET /simple/{$}", s.index)
	mux.HandleFunc("GET /simple/{project}", s.toProject)
	mux.HandleFunc("GET /simple/{project}/{$}", s.project)
	mux.HandleFunc("GET /simple/{project}/{file}", s.file)
	mux.HandleFunc("GET /log/{build}", s.log)
	mux.HandleFunc("GET /healthz", s.health)
	mux.HandleFunc("GET /api/v1/status", s.status)
	if cfg.Upload != nil {
		mux.Handle("PUT /upload/", cfg.Upload)
	}
	return secure(mux)
}

// Server makes an HTTP server with limits on what costs a stranger nothing: slow
// headers and idle connections. Bodies have no limit of time here, since a slave
// on a slow link may send a large wheel for an hour.
func Server(addr string, h http.Handler) *http.Server {
	return &http.Server{
		Addr: addr, Handler: h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
	}
}

// secure sets the headers that keep a browser from making more of an answer than
// it is. The pages have no scripts and load nothing.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy",
			"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		next.ServeHTTP(w, r)
	})
}

// say answers with one line of text.
func say(w http.ResponseWriter, code int, line string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	io.WriteString(w, line+"\n")
}

// broken answers for a fault of ours: the reason goes to the log, where those are
// who can mend it.
func (s *site) broken(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // the visitor left, and that is what went wrong
	}
	s.Log.Error().Err(err).Str("path", r.URL.Path).Msg("request failed")
	say(w, http.StatusInternalServerError, "something is wrong here, and has been logged")
}
