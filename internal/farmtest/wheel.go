package farmtest

import (
	"strings"
	"testing"

	"pinwheel/internal/wheeltest"
)

// Wheel makes a sound wheel that holds one module of the given content, tagged
// "py3-none-any" or another tag of three parts.
func Wheel(t testing.TB, name, version, tag string, content []byte) (filename string, wheel []byte) {
	t.Helper()
	module := wheeltest.File{Name: strings.ReplaceAll(name, "-", "_") + ".py", Body: content}
	file, b := wheeltest.Wheel{Name: name, Version: version, Tag: tag, Files: []wheeltest.File{module}}.Make(t)
	return file.Name, b
}
