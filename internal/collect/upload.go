package collect

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/crash"
	"pinwheel/internal/farm"
)

// UploadPath is where Upload is to be mounted; the file's SHA-256 follows.
const UploadPath = "/upload/"

// tokenLife is how long an upload may be started after it was asked for. A
// slave that is slower reports again and gets a new token.
const tokenLife = time.Hour

// permit is what an upload token says. It is signed, not stored: every master
// of a farm has the key, and a restart forgets none.
type permit struct {
	Lease   string `json:"lease"`
	SHA256  string `json:"sha256"`
	Size    int64  `json:"size"`
	Expires int64  `json:"expires"` // Unix seconds
}

func (c *Collector) sign(lease string, f farm.File) string {
	body, err := json.Marshal(permit{Lease: lease, SHA256: f.SHA256, Size: f.Size, Expires: c.cfg.Now().Add(tokenLife).Unix()})
	if err != nil {
		panic(err) // strings and numbers: cannot fail
	}
	enc := tokenForm()
	return enc.EncodeToString(body) + "." + enc.EncodeToString(c.mac(body))
}

// tokenForm is strict, so that a permit has one spelling only.
func tokenForm() *base64.Encoding { return base64.RawURLEncoding.Strict() }

func (c *Collector) mac(body []byte) []byte {
	h := hmac.New(sha256.New, c.cfg.Key)
	h.Write(body)
	return h.Sum(nil)
}

// permitted reads a token. The signature is checked before anything is parsed.
func (c *Collector) permitted(token string) (permit, error) {
	enc := tokenForm()
	head, tail, _ := strings.Cut(token, ".")
	body, err := enc.DecodeString(head)
	if err != nil {
		return permit{}, errors.New("the token cannot be read")
	}
	mac, err := enc.DecodeString(tail)
	if err != nil || !hmac.Equal(mac, c.mac(body)) {
		return permit{}, errors.New("the token is not ours")
	}
	var p permit
	if err := json.Unmarshal(body, &p); err != nil {
		return permit{}, errors.New("the token cannot be read")
	}
	if c.cfg.Now().Unix() > p.Expires {
		return permit{}, errors.New("the token has expired; report again for a new one")
	}
	return p, nil
}

// Upload takes PUT /upload/SHA256 with "Authorization: Bearer TOKEN". The body
// is streamed to staging and hashed on the way; it counts only when size and
// hash are what the token says. Sending it twice is harmless.
func (c *Collector) Upload() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut {
			w.Header().Set("Allow", http.MethodPut)
			http.Error(w, "want PUT", http.StatusMethodNotAllowed)
			return
		}
		status, err := c.take(w, r)
		if err != nil {
			level := zerolog.WarnLevel
			if status >= http.StatusInternalServerError {
				level = zerolog.ErrorLevel
			}
			c.cfg.Log.WithLevel(level).Err(err).Str("path", r.URL.Path).Str("from", r.RemoteAddr).Msg("upload not taken")
			http.Error(w, err.Error(), status)
			return
		}
		w.WriteHeader(status)
	})
}

func (c *Collector) take(w http.ResponseWriter, r *http.Request) (int, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return http.StatusUnauthorized, errors.New("no upload token")
	}
	p, err := c.permitted(token)
	if err != nil {
		return http.StatusForbidden, err
	}
	if r.URL.Path != UploadPath+p.SHA256 {
		return http.StatusForbidden, errors.New("the token is for another file")
	}
	if r.ContentLength != p.Size {
		return http.StatusBadRequest, fmt.Errorf("Content-Length is %d, the report said %d", r.ContentLength, p.Size)
	}
	body := &deadlined{body: r.Body, ctl: http.NewResponseController(w), stall: c.stall}
	if err := c.cfg.Depot.Put(r.Context(), body, farm.File{SHA256: p.SHA256, Size: p.Size}); err != nil {
		return uploadStatus(r.Context(), err), err
	}
	// File before row: what no row names harms nobody, the reverse would be a page
	// with a missing file.
	crash.At(crash.CollectStored)
	return http.StatusCreated, nil
}
