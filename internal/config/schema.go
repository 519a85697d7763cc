package config

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"

	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// schema is a fragment of JSON Schema (draft 2020-12).
type schema map[string]any

// orVariable allows a value's own type or a text: any value may be written as
// ${NAME}, a share as 20%, a duration as 30s.
func orVariable(typ string) schema {
	return schema{"type": []string{typ, "string"}}
}

// Schema gives the JSON Schema of rollcall.yaml with the kinds of sources given,
// for editors that complete and check as one writes. It ends with a newline.
func Schema(kinds []source.Kind) []byte {
	d := &decoder{kinds: kinds}
	root := object(d.topKeys(defaults()))
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "rollcall.yaml"
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(root); err != nil {
		panic("config: the schema cannot be written as JSON: " + err.Error())
	}
	return b.Bytes()
}

func object(keys []key) schema {
	properties := schema{}
	for _, k := range keys {
		s := maps.Clone(k.schema)
		switch {
		case k.keys != nil:
			s = object(k.keys)
		case k.larger != nil:
			s = k.larger()
		}
		if k.help != "" {
			s["description"] = k.help
		}
		if k.initial != "" && k.initial != "0" {
			s["default"] = k.initial
		}
		properties[k.name] = s
	}
	return schema{"type": "object", "additionalProperties": false, "properties": properties}
}

func (d *decoder) connectionSchema() schema {
	c := newConnection()
	s := object(d.connectionKeys(&c, ""))
	s["required"] = []string{"alias", "backend"}
	return s
}

func mappingSchema() schema {
	rule := schema{"anyOf": []schema{
		{"type": []string{"string", "null"}},
		{
			"type": "object", "additionalProperties": false, "minProperties": 1, "maxProperties": 1,
			"properties": schema{
				"attribute": schema{"type": "string"},
				"value":     schema{"type": []string{"string", "number", "boolean"}},
				"expr":      schema{"type": "string"},
			},
		},
	}}
	properties := schema{}
	for _, f := range fieldNames() {
		properties[f] = rule
	}
	return schema{"type": "object", "properties": properties, "additionalProperties": rule}
}

func (d *decoder) backendSchema() schema {
	properties := schema{}
	for _, k := range d.kinds {
		s := optionsSchema(k.Options, "")
		s["title"] = k.Title
		properties[k.Name] = s
	}
	return schema{
		"type": "object", "additionalProperties": false, "minProperties": 1, "maxProperties": 1,
		"properties": properties,
	}
}

// optionsSchema turns dotted names into nested objects.
func optionsSchema(options []setting.Option, under string) schema {
	properties := schema{}
	required := []string{}
	for _, o := range options {
		name, ok := strings.CutPrefix(o.Name, under)
		if !ok {
			continue
		}
		if block, _, deeper := strings.Cut(name, "."); deeper {
			if properties[block] == nil {
				properties[block] = optionsSchema(options, under+block+".")
			}
			continue
		}
		properties[name] = optionSchema(o)
		if o.Required {
			required = append(required, name)
		}
	}
	s := schema{"type": "object", "additionalProperties": false, "properties": properties}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

func optionSchema(o setting.Option) schema {
	s := schema{}
	switch o.Type {
	case setting.Bool:
		s = orVariable("boolean")
	case setting.Int, setting.Duration, setting.Size:
		s = orVariable("integer")
	case setting.List:
		s["type"] = []string{"array", "string", "object"}
	case setting.String:
		s["type"] = []string{"string", "number", "boolean"}
		if len(o.Choices) > 0 {
			s = schema{"enum": o.Choices}
		}
	}
	if help := strings.TrimSpace(o.Help); help != "" {
		s["description"] = help
	} else if o.Label != "" {
		s["description"] = o.Label
	}
	if o.Default != "" {
		s["default"] = o.Default
	}
	return s
}
