package pip

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"pinwheel/internal/proc"
)

// machinePython is the Python that the farm would use here.
func machinePython(t *testing.T) Python {
	t.Helper()
	py, err := findOnce()
	if err != nil {
		t.Fatal(err)
	}
	return py
}

// findOnce asks once what takes half a second.
var findOnce = sync.OnceValues(func() (Python, error) {
	py, passedOver, err := Find(context.Background(), "", proc.BuildUser())
	if err != nil {
		err = fmt.Errorf("%w; passed over: %q", err, passedOver)
	}
	return py, err
})

// sharedDir is a folder that the build user can enter.
func sharedDir(t *testing.T) string {
	t.Helper()
	dir, err := proc.SharedTempDir("pip-test-", proc.BuildUser())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// makeWheel makes a pure wheel and returns its file name and bytes.
func makeWheel(t *testing.T, name, version, requires string, files map[string]string) (string, []byte) {
	t.Helper()
	info := fmt.Sprintf("%s-%s.dist-info/", name, version)
	meta := fmt.Sprintf("Metadata-Version: 2.1\nName: %s\nVersion: %s\n", name, version)
	if requires != "" {
		meta += "Requires-Dist: " + requires + "\n"
	}
	all := map[string]string{
		info + "METADATA": meta,
		info + "WHEEL":    "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
	}
	for k, v := range files {
		all[k] = v
	}
	var record strings.Builder
	for k, v := range all {
		sum := sha256.Sum256([]byte(v))
		fmt.Fprintf(&record, "%s,sha256=%s,%d\n", k, base64.RawURLEncoding.EncodeToString(sum[:]), len(v))
	}
	all[info+"RECORD"] = record.String() + info + "RECORD,,\n"
	return fmt.Sprintf("%s-%s-py3-none-any.whl", name, version), zipOf(t, all)
}

func zipOf(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, content := range files {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// serveIndex serves a simple index (PEP 503) of the files, by file name.
func serveIndex(t *testing.T, files map[string][]byte) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/files/{name}", func(w http.ResponseWriter, r *http.Request) {
		w.Write(files[r.PathValue("name")])
	})
	mux.HandleFunc("/simple/{project}/", func(w http.ResponseWriter, r *http.Request) {
		for name, b := range files {
			if strings.HasPrefix(name, strings.ReplaceAll(r.PathValue("project"), "-", "_")+"-") {
				fmt.Fprintf(w, "<a href=\"/files/%s#sha256=%s\">%s</a>\n", name, sumOf(b), name)
			}
		}
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL + "/simple/"
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
