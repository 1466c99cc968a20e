package farm

// Machine is what a slave tells of itself when it says hello.
type Machine struct {
	Version string   `json:"version"` // of the program
	Targets []Served `json:"targets"`
	Model   string   `json:"machine"` // "Raspberry Pi 4 Model B"
	OS      string   `json:"os"`      // "Debian GNU/Linux 12 (bookworm)"
	Memory  int64    `json:"memory"`  // bytes

	Packages []string `json:"-"` // Debian packages that are installed for each target, sorted; kept apart
}

// Served is a target that a slave builds for, and what is true there.
type Served struct {
	Target Target `json:"target"`
	Facts  Facts  `json:"facts"`

	Packages []string `json:"-"` // Debian packages that are installed for it alone, sorted; kept apart
}

// Pulse is how a slave is, as its last beat told.
type Pulse struct {
	Doing       string  `json:"doing"`       // "building numpy 1.26.4", for people
	Load        float64 `json:"load"`        // of the last minute
	Temperature float64 `json:"temperature"` // °C; 0 when unknown
	MemoryFree  int64   `json:"memory_free"` // bytes
	DiskFree    int64   `json:"disk_free"`   // bytes

	Throttled []string `json:"throttled,omitempty"` // what a Raspberry Pi's firmware does against heat or a weak supply
	Unfit     string   `json:"unfit,omitempty"`     // why it asks for no job: "hot: 84.3 °C, over 80"; empty: it is fit
}
