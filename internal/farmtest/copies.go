package farmtest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// checkCopies holds the compressed copy of each page to it, on the disk, where a
// web server may find it, and as the farm itself sends it. The project "" is the root.
func (f Farm) checkCopies(t testing.TB, projects []string) {
	t.Helper()
	for _, project := range projects {
		dir := filepath.Join(f.SiteDir, "simple", project)
		for form, accept := range map[string]string{"index.html": "text/html", "index.json": "application/vnd.pypi.simple.v1+json"} {
			page, err := os.ReadFile(filepath.Join(dir, form))
			if err != nil {
				t.Error(err)
			}
			packed, err := os.ReadFile(filepath.Join(dir, form+".gz"))
			if err != nil {
				t.Error(err)
			}
			if got, err := unpack(packed); err != nil || !bytes.Equal(got, page) {
				t.Errorf("%s/%s.gz does not hold the page: %v", dir, form, err)
			}
			url := f.URL + "/simple/"
			if project != "" {
				url += project + "/"
			}
			if sent, err := getPacked(t, url, accept); err != nil || !bytes.Equal(sent, packed) {
				t.Errorf("GET %s as %s: not the copy: %v", url, accept, err)
			}
		}
	}
}

func unpack(packed []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// getPacked gets a page as a client does that takes gzip.
func getPacked(t testing.TB, url, accept string) ([]byte, error) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	req.Header.Set("Accept-Encoding", "gzip, deflate") // said by us: the client does not unpack then
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if e := resp.Header.Get("Content-Encoding"); resp.StatusCode != http.StatusOK || e != "gzip" {
		return nil, fmt.Errorf("%s, Content-Encoding %q", resp.Status, e)
	}
	return io.ReadAll(resp.Body)
}
