package pypitest

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

//go:embed backend
var backend embed.FS

// file is one distribution file, ready to be served.
type file struct {
	name     string
	data     []byte // nil: hollow
	sha256   string
	metadata []byte // of a wheel (PEP 658), else nil
	uploaded time.Time
}

func newFile(name string, data, metadata []byte) file {
	return file{name: name, data: data, sha256: hexSum(data), metadata: metadata}
}

// content is what a download gives.
func (f file) content() []byte {
	if f.data == nil {
		return hollowBytes(f.name)
	}
	return f.data
}

func hexSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// build makes all files of a release.
func (r Release) build() ([]file, error) {
	if r.Hollow {
		return r.hollowFiles(), nil
	}
	var files []file
	for _, tag := range r.Wheels {
		f, err := r.wheel(tag)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	if r.NoSdist {
		return files, nil
	}
	if r.File != "" {
		data, err := os.ReadFile(r.File)
		return append(files, newFile(filepath.Base(r.File), data, nil)), err
	}
	for _, format := range r.Formats {
		f, err := r.sdist(format)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

func (r Release) sdist(format string) (file, error) {
	stem := Module(r.Name) + "-" + r.Version
	content, err := r.sources(stem)
	if err != nil {
		return file{}, err
	}
	var data []byte
	switch format {
	case ".tar.gz", ".tgz":
		data, err = tarball(content)
	case ".zip":
		data, err = zipball(content)
	default:
		err = fmt.Errorf("unknown sdist format %q, want .tar.gz, .tgz or .zip", format)
	}
	return newFile(stem+format, data, nil), err
}

// sources are the contents of an sdist by path, below one folder as PEP 517 wants it.
func (r Release) sources(folder string) (map[string][]byte, error) {
	files := map[string][]byte{
		"PKG-INFO": r.metadata(),
		"pyproject.toml": []byte("[build-system]\nrequires = []\nbuild-backend = \"_backend\"\n" +
			"backend-path = [\"build_backend\"]\n"),
	}
	var err error
	if files["build_backend/_backend.py"], err = backend.ReadFile("backend/backend.py"); err != nil {
		return nil, err
	}
	if files["build_backend/_story.py"], err = backend.ReadFile(storyFile(r.Kind)); err != nil {
		return nil, err
	}
	if files["story.json"], err = r.story(); err != nil {
		return nil, err
	}
	if source, ok := r.cSource(); ok {
		files["src/_"+Module(r.Name)+".c"] = []byte(source)
	}
	for name, source := range r.Modules {
		files["src/"+name] = []byte(source)
	}
	below := make(map[string][]byte, len(files))
	for name, data := range files {
		below[path.Join(folder, name)] = data
	}
	return below, nil
}

// storyFile is the source of what happens; both daemons have one, and all extensions.
func storyFile(k Kind) string {
	switch k {
	case DaemonHolds:
		k = Daemon
	case ARMv6, NearlyARMv6:
		k = Extension
	}
	return "backend/stories/" + strings.ReplaceAll(string(k), "-", "_") + ".py"
}

// story is what the backend reads.
func (r Release) story() ([]byte, error) {
	return json.MarshalIndent(map[string]any{
		"name": Module(r.Name), "version": r.Version, "modules": slices.Sorted(maps.Keys(r.Modules)),
		"extension": "_" + Module(r.Name), "address": r.Address, "megabytes": r.Megabytes,
		"daemon_mark": daemonMark(r.Name, r.Version), "hold_build": r.Kind == DaemonHolds, "arm_flags": r.armFlags(),
	}, "", "  ")
}

// armFlags are given to a compiler for ARM. Debian's makes code for ARMv7, and so are
// the files that it begins and ends each library with: only without them is a library
// for ARMv6, as Raspberry Pi OS's compiler would make it.
func (r Release) armFlags() []string {
	switch r.Kind {
	case ARMv6:
		return []string{"-march=armv6+fp", "-marm", "-nostartfiles"}
	case NearlyARMv6:
		return []string{"-march=armv6+fp", "-marm"}
	}
	return []string{}
}

const extensionSource = `#include <Python.h>

static PyObject *answer(PyObject *self, PyObject *none) { return PyLong_FromLong(42); }

static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, "Returns 42."}, {0}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "MODULE", 0, -1, methods};

PyMODINIT_FUNC PyInit_MODULE(void) { return PyModule_Create(&module); }
`

const failingSource = `#include <ffi.h>

int call(void) { return FFI_OK; }
`

// cSource is the C file that goes with a kind.
func (r Release) cSource() (string, bool) {
	switch r.Kind {
	case Extension, ARMv6, NearlyARMv6:
		return strings.ReplaceAll(extensionSource, "MODULE", "_"+Module(r.Name)), true
	case Fails:
		return failingSource, true
	}
	return "", false
}

// wheel makes a wheel without building, for projects that publish some.
func (r Release) wheel(tag string) (file, error) {
	stem := Module(r.Name) + "-" + r.Version
	info := stem + ".dist-info/"
	content := map[string][]byte{}
	for name, source := range r.Modules {
		content[name] = []byte(source)
	}
	content[info+"METADATA"] = r.metadata()
	content[info+"WHEEL"] = fmt.Appendf(nil, "Wheel-Version: 1.0\nGenerator: pypitest\nRoot-Is-Purelib: %t\nTag: %s\n",
		strings.HasSuffix(tag, "-any"), tag)
	content[info+"RECORD"] = record(content, info+"RECORD")
	data, err := zipball(content)
	return newFile(stem+"-"+tag+".whl", data, r.metadata()), err
}

// record lists files as PEP 427 wants it; of itself it knows no hash.
func record(files map[string][]byte, self string) []byte {
	var b []byte
	for _, name := range slices.Sorted(maps.Keys(files)) {
		sum := sha256.Sum256(files[name])
		b = fmt.Appendf(b, "%s,sha256=%s,%d\n", name, base64.RawURLEncoding.EncodeToString(sum[:]), len(files[name]))
	}
	return fmt.Appendf(b, "%s,,\n", self)
}

// archiveTime is the time of every file in every archive: archives must not tell when they were made.
func archiveTime() time.Time { return time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC) }

func tarball(files map[string][]byte) ([]byte, error) {
	var b bytes.Buffer
	gz := gzip.NewWriter(&b)
	w := tar.NewWriter(gz)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		h := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name])), ModTime: archiveTime(), Format: tar.FormatPAX}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(files[name]); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	err := gz.Close()
	return b.Bytes(), err
}

func zipball(files map[string][]byte) ([]byte, error) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: archiveTime()}
		h.SetMode(0o644)
		f, err := w.CreateHeader(h)
		if err != nil {
			return nil, err
		}
		if _, err := f.Write(files[name]); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}
