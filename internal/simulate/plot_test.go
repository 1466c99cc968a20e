package simulate

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// panel is one of the plot's two drawings; slaves are on a logarithmic axis.
type panel struct {
	b         *strings.Builder
	left      float64 // of the drawing, in pixels
	title     string
	low, high float64 // of the values
	log       bool
	ticks     []float64
	form      string // of a tick
}

const (
	panelWidth  = 300.0
	panelHeight = 220.0
	panelTop    = 60.0
	mostSlaves  = 300.0
)

func (p *panel) x(slaves float64) float64 {
	return p.left + panelWidth*math.Log(slaves/0.8)/math.Log(mostSlaves/0.8)
}

func (p *panel) y(v float64) float64 {
	part := (v - p.low) / (p.high - p.low)
	if p.log {
		part = math.Log(v/p.low) / math.Log(p.high/p.low)
	}
	return panelTop + panelHeight*(1-part)
}

func (p *panel) frame(counts []float64) {
	fmt.Fprintf(p.b, `<text x="%.0f" y="%.0f" class="title">%s</text>`+"\n", p.left, panelTop-14, p.title)
	fmt.Fprintf(p.b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" class="frame"/>`+"\n", p.left, panelTop, panelWidth, panelHeight)
	for _, v := range p.ticks {
		fmt.Fprintf(p.b, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%[3]f" class="grid"/>`+"\n", p.left, p.left+panelWidth, p.y(v))
		fmt.Fprintf(p.b, `<text x="%.1f" y="%.1f" text-anchor="end">`+p.form+`</text>`+"\n", p.left-6, p.y(v)+4, v)
	}
	for _, n := range counts {
		fmt.Fprintf(p.b, `<text x="%.1f" y="%.1f" text-anchor="middle">%.0f</text>`+"\n", p.x(n), panelTop+panelHeight+18, n)
	}
	fmt.Fprintf(p.b, `<text x="%.1f" y="%.1f" text-anchor="middle">slaves</text>`+"\n", p.left+panelWidth/2, panelTop+panelHeight+36)
}

func (p *panel) line(class string, points ...[2]float64) {
	var at []string
	for _, q := range points {
		at = append(at, fmt.Sprintf("%.1f,%.1f", p.x(q[0]), p.y(q[1])))
	}
	fmt.Fprintf(p.b, `<polyline points="%s" class="%s"/>`+"\n", strings.Join(at, " "), class)
}

func (p *panel) dot(slaves, v float64, label string) {
	fmt.Fprintf(p.b, `<circle cx="%.1f" cy="%.1f" r="4"/><text x="%.1f" y="%.1f">%s</text>`+"\n",
		p.x(slaves), p.y(v), p.x(slaves)+7, p.y(v)-6, label)
}

// plot draws how long a first run takes, and how long slaves are idle meanwhile.
// The days of a run on fewer versions are those of the whole at the same ratio to
// the ideal.
func plot(results []result, whole time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 780 340" font-family="sans-serif" font-size="12">
<style>text{fill:#333}.title{font-size:14px;font-weight:bold}.frame{fill:none;stroke:#999}.grid{stroke:#ddd}
polyline{fill:none}.ideal{stroke:#888;stroke-dasharray:4 3}.budget{stroke:#c33}circle{fill:#06c}</style>
<rect width="780" height="340" fill="#fff"/>
`)
	var counts []float64
	days := &panel{b: &b, left: 60, title: fmt.Sprintf("Days until all %d versions are built", firstRun),
		low: 0.3, high: 300, log: true, ticks: []float64{1, 10, 100}, form: "%.0f"}
	idle := &panel{b: &b, left: 440, title: "Slaves idle while work is queued, %", low: 0, high: 3.5, ticks: []float64{0, 1, 2, 3}, form: "%.0f"}
	for _, r := range results {
		counts = append(counts, float64(r.slaves))
	}
	days.frame(counts)
	idle.frame(counts)
	ideal := whole.Hours() / 24
	days.line("ideal", [2]float64{1, ideal}, [2]float64{200, ideal / 200})
	idle.line("budget", [2]float64{1, 100 * idleBudget(1)}, [2]float64{20, 100 * idleBudget(20)},
		[2]float64{20.1, 100 * idleBudget(200)}, [2]float64{200, 100 * idleBudget(200)})
	for _, r := range results {
		n := float64(r.slaves)
		d := ideal / n * r.overTime()
		days.dot(n, d, fmt.Sprintf("%.3g", d))
		idle.dot(n, math.Min(100*r.idle, 3.5), fmt.Sprintf("%.2f", 100*r.idle))
	}
	var versions []string
	for _, r := range results {
		versions = append(versions, fmt.Sprint(r.versions))
	}
	fmt.Fprintf(&b, `<text x="60" y="334">dashed: no slave ever waits or dies; red: the budget; dots: simulated, with %s versions</text>`+"\n</svg>\n",
		strings.Join(versions, ", "))
	return b.String()
}
