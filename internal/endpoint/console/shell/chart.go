package shell

import (
	"fmt"
	"html/template"
	"strings"
)

// Bars is a bar chart. It is drawn as SVG without style attributes, which the
// policy of the pages forbids: colours come from the style sheet by class.
type Bars struct {
	Title string // says what is shown, also to those who do not see it
	Bars  []Bar
	Tall  bool
}

// Bar is one of them: parts are stacked from the ground.
type Bar struct {
	Label string // below, where it is not ""
	Title string // on hover: all of it in words
	Link  string // where a click leads; ""
	Parts []Part
}

// Part is a part of a bar; Tone is one of good, wait, bad, new, calm.
type Part struct {
	Value int64
	Tone  string
}

func (b Bars) draw() template.HTML {
	if len(b.Bars) == 0 {
		return template.HTML(`<p class="soft">` + template.HTMLEscapeString(b.Title) + `</p>`) //nolint:gosec // escaped
	}
	const width, label = 720, 16
	height := 84
	if b.Tall {
		height = 140
	}
	var most int64 = 1
	for _, bar := range b.Bars {
		var sum int64
		for _, p := range bar.Parts {
			sum += p.Value
		}
		most = max(most, sum)
	}
	var s strings.Builder
	fmt.Fprintf(&s, `<svg class="bars" viewBox="0 0 %d %d" role="group" aria-label="%s">`, width, height+label, template.HTMLEscapeString(b.Title))
	fmt.Fprintf(&s, `<line class="ground" x1="0" x2="%d" y1="%d" y2="%d"/>`, width, height, height)
	n := max(len(b.Bars), 1)
	step := float64(width) / float64(n)
	gap := min(step*0.2, 4)
	for i, bar := range b.Bars {
		x := float64(i) * step
		if bar.Link != "" {
			fmt.Fprintf(&s, `<a href="%s" aria-label="%s">`, template.HTMLEscapeString(bar.Link), template.HTMLEscapeString(bar.Title))
		}
		fmt.Fprintf(&s, `<g><title>%s</title><rect class="hit" x="%.1f" y="0" width="%.1f" height="%d"/>`, template.HTMLEscapeString(bar.Title), x, step, height)
		y := float64(height)
		for _, p := range bar.Parts {
			if p.Value <= 0 {
				continue
			}
			h := max(float64(p.Value)/float64(most)*float64(height-4), 2)
			y -= h
			fmt.Fprintf(&s, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="1.5"/>`, template.HTMLEscapeString(p.Tone), x+gap/2, y, step-gap, h)
		}
		if bar.Label != "" {
			fmt.Fprintf(&s, `<text x="%.1f" y="%d">%s</text>`, x+step/2, height+label-3, template.HTMLEscapeString(bar.Label))
		}
		s.WriteString(`</g>`)
		if bar.Link != "" {
			s.WriteString(`</a>`)
		}
	}
	s.WriteString(`</svg>`)
	return template.HTML(s.String()) //nolint:gosec // every text is escaped above
}

// icons are drawn on a 24 by 24 grid with a line of 1.8.
var icons = map[string]string{
	"overview":      `<path d="M4 13h6V4H4zM14 20h6v-9h-6zM14 4v3h6V4zM4 20h6v-3H4z"/>`,
	"connections":   `<path d="M9 7V3M15 7V3M6 7h12v5a6 6 0 0 1-12 0zM12 18v3"/>`,
	"agents":        `<path d="M4 4h16v6H4zM4 14h16v6H4zM8 7h.200M8 17h.200M12 10v4"/>`,
	"plans":         `<path d="M6 3h9l4 4v14H6zM14 3v5h5M9 12h6M9 16h6"/>`,
	"runs":          `<path d="M4 12a8 8 0 0 1 14-5l2 2M20 4v5h-5M20 12a8 8 0 0 1-14 5l-2-2M4 20v-5h5"/>`,
	"people":        `<circle cx="12" cy="8" r="4"/><path d="M4 21c0-4 4-6 8-6s8 2 8 6"/>`,
	"groups":        `<circle cx="9" cy="9" r="3.2"/><path d="M3 19c0-3 3-4.500 6-4.500s6 1.500 6 4.500M15 6a3 3 0 0 1 0 6M17 14.500c2.500.500 4 2 4 4.500"/>`,
	"orgchart":      `<path d="M9 3h6v5H9zM3 16h6v5H3zM15 16h6v5h-6zM12 8v4M6 16v-4h12v4"/>`,
	"disputes":      `<path d="M12 3v18M5 7h14M5 7l-3 7h6zM19 7l-3 7h6zM8 21h8"/>`,
	"events":        `<path d="M5 4h14v16H5zM8 8h8M8 12h8M8 16h5"/>`,
	"webhooks":      `<path d="M10 8a3 3 0 1 1 4 2.800L17 16M8 17H15M7 14a3 3 0 1 0 3 3M14 17a3 3 0 1 0 3-3L13 8"/>`,
	"door":          `<path d="M6 21V3h9v18M3 21h18M12 12v.200M15 6h3v15"/>`,
	"keys":          `<circle cx="8" cy="15" r="4"/><path d="M11 12l8-8M16 7l3 3M14 9l2 2"/>`,
	"organizations": `<path d="M4 21V5l8-2v18M12 8l8 2v11M2 21h20M7 8h2M7 12h2M7 16h2M15 13h2M15 17h2"/>`,
	"links":         `<path d="M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1"/>`,
	"admins":        `<path d="M12 3l8 3v6c0 5-4 8-8 9-4-1-8-4-8-9V6zM9 12l2 2 4-4"/>`,
	"settings":      `<circle cx="12" cy="12" r="3"/><path d="M12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M19 5l-2 2M7 17l-2 2"/>`,
	"search":        `<circle cx="11" cy="11" r="6"/><path d="M16 16l5 5"/>`,
	"why":           `<circle cx="12" cy="12" r="9"/><path d="M9.500 9.500a2.500 2.500 0 1 1 3.500 2.300c-.700.300-1 .800-1 1.700M12 16.800v.200"/>`,
	"menu":          `<path d="M4 7h16M4 12h16M4 17h16"/>`,
	"plus":          `<path d="M12 5v14M5 12h14"/>`,
	"out":           `<path d="M14 4h5v16h-5M10 8l-4 4 4 4M6 12h9"/>`,
	"yes":           `<path d="M5 13l4 4L19 7"/>`,
	"no":            `<path d="M6 6l12 12M18 6L6 18"/>`,
	"dash":          `<path d="M6 12h12"/>`,
	"warn":          `<path d="M12 4l9 16H3zM12 10v4M12 17v.200"/>`,
	"down":          `<path d="M12 4v12M7 12l5 5 5-5M5 20h14"/>`,
	"clock":         `<circle cx="12" cy="12" r="8.500"/><path d="M12 7v5l3 2"/>`,
	"sun":           `<circle cx="12" cy="12" r="4"/><path d="M12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.500 1.500M17.500 17.500L19 19M19 5l-1.500 1.500M6.500 17.500L5 19"/>`,
	"next":          `<path d="M9 5l7 7-7 7"/>`,
}

func icon(name string) (template.HTML, error) {
	d, ok := icons[name]
	if !ok {
		return "", fmt.Errorf("there is no icon %q", name)
	}
	return template.HTML(`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true">` + d + `</svg>`), nil //nolint:gosec // from the list above
}
