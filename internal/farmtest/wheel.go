package farmtest

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

// Wheel makes a sound wheel (PEP 427) that holds one module of the given
// content, tagged "py3-none-any" or another tag of three parts.
func Wheel(t testing.TB, name, version, tag string, content []byte) (filename string, wheel []byte) {
	t.Helper()
	module := strings.ReplaceAll(name, "-", "_")
	info := fmt.Sprintf("%s-%s.dist-info", module, version)
	files := []struct {
		name string
		body []byte
	}{
		{module + ".py", content},
		{info + "/METADATA", fmt.Appendf(nil, "Metadata-Version: 2.1\nName: %s\nVersion: %s\n", name, version)},
		{info + "/WHEEL", fmt.Appendf(nil, "Wheel-Version: 1.0\nGenerator: farmtest\nRoot-Is-Purelib: true\nTag: %s\n", tag)},
	}
	var out bytes.Buffer
	var record strings.Builder
	z := zip.NewWriter(&out)
	put := func(name string, body []byte) {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write(body)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range files {
		put(f.name, f.body)
		sum := sha256.Sum256(f.body)
		fmt.Fprintf(&record, "%s,sha256=%s,%d\n", f.name, base64.RawURLEncoding.EncodeToString(sum[:]), len(f.body))
	}
	put(info+"/RECORD", []byte(record.String()+info+"/RECORD,,\n"))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s-%s-%s.whl", module, version, tag), out.Bytes()
}
