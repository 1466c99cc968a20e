package farm

// BuildRecord tells how a wheel was made. It lies beside the wheel on the site, as
// JSON (docs/build-record.md), and never changes.
type BuildRecord struct {
	Schema  int    `json:"schema"`  // 1
	Package string `json:"package"` // normalized name (PEP 503)
	Version string `json:"version"` // normalized version (PEP 440)
	Target  string `json:"target"`  // "cp311-linux_armv7l": where it was built
	Slave   string `json:"slave"`
	Build   int64  `json:"build"` // its number; its log is /log/BUILD
	Wheel   File   `json:"wheel"` // as it is published
	Record
}
