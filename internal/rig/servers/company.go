package servers

import (
	"slices"
	"strings"
)

// Person is somebody of the sample directory.
type Person struct {
	UID            string // what people sign in with; of all names the one no edit changes
	Given, Surname string
	Mail, Title    string
	Unit           string // the OU below PeopleBase; "" is PeopleBase itself
	Manager        string // a UID
	Disabled       bool
}

// Name is the common name, and so the first part of the DN, until somebody is
// renamed.
func (p Person) Name() string { return p.Given + " " + p.Surname }

// Group is a group of the sample directory.
type Group struct {
	Name    string
	Members []string // UIDs
	Groups  []string // names of groups in it
}

// Units are the OUs below PeopleBase. One has a comma, one is not ASCII.
var Units = []string{"Board", "Engineering", "Sales, Marketing", "Qualität", "研究開発"}

// staff is a person to a line: UID, given name, surname, unit. Each reports to
// the one at an eighth of its place.
const staff = `
asmith    | Alice      | Smith           | 0
fgarcia   | Íñigo      | García Núñez    | 0
zlefevre  | Zoé        | Lefèvre         | 0
jmueller  | Jörg       | Müller          | 1
lwisn     | Łukasz     | Wiśniewski      | 1
ayilmaz   | Ayşe       | Yılmaz          | 2
gpapad    | Γιώργος    | Παπαδόπουλος    | 3
ysato     | 陽子       | 佐藤            | 4
kgross    | Käthe      | Groß            | 1
sevans    | Siân       | Evans           | 2
obrien    | Oliver     | O'Brien         | 2
walker    | Harry      | Walker-Jones    | 2
dpeeters  | Daan       | Peeters         | 1
thooft    | Bram       | 't Hooft        | 1
vdberg    | Sofie      | van den Berg    | 2
coelho    | Anaïs      | Coëlho          | 3
francois  | François   | D'Angelo        | 2
helene    | Hélène     | de la Tour      | 3
oeuvrard  | Théo       | Œuvrard         | 1
weiss     | Günther    | Weiß            | 1
oettingen | Sören      | von Öttingen    | 2
bkoehler  | Björn      | Köhler          | 3
ejaeger   | Liesl      | Jäger           | 3
mdabrow   | Małgorzata | Dąbrowska       | 1
zzajac    | Zdzisław   | Zając           | 1
zkrol     | Żaneta     | Król            | 2
isil      | Işıl       | Çelik           | 2
ibrahim   | İbrahim    | Öztürk          | 1
cagri     | Çağrı      | Şahin           | 3
oguenes   | Ömer       | Güneş           | 1
eleni     | Ελένη      | Νικολάου        | 3
nikos     | Νίκος      | Οικονόμου       | 1
sofia     | Σοφία      | Ρήγα            | 2
zoi       | Ζωή        | Βλάχου          | 3
ksuzuki   | 健一       | 鈴木            | 4
sakura    | さくら     | 高橋            | 4
stanaka   | 翔太       | 田中            | 4
takashima | 美咲       | 髙島            | 4
myoshida  | 誠         | 𠮷田            | 4
ykoba     | ユキ       | 小林            | 4
novak     | Jiří       | Novák           | 1
dvorak    | Kateřina   | Dvořáková       | 2
szabo     | Ágnes      | Szabó           | 3
kovacs    | Győző      | Kovács          | 1
ivanov    | Иван       | Иванов          | 1
petrova   | Ольга      | Петрова         | 2
shevch    | Тарас      | Шевченко        | 3
haddad    | ليلى       | حداد            | 2
nasser    | عمر        | ناصر            | 1
cohen     | נועה       | כהן             | 1
sharma    | अनिता      | शर्मा           | 2
nguyen    | Nguyễn     | Thị Minh Khai   | 3
tran      | Trần       | Văn Bảo         | 1
kim       | 민준       | 김              | 4
park      | 서연       | 박              | 4
lindqv    | Åsa        | Lindqvist       | 2
sorensen  | Søren      | Sørensen        | 1
bjork     | Þóra       | Björnsdóttir    | 3
oneill    | Niamh      | O’Neill         | 2
santos    | João       | dos Santos      | 3
`

// DisabledUID is who is disabled from the beginning.
const DisabledUID = "santos"

var titles = []string{"Director", "Engineer", "Account Manager", "Prüferin", "研究員"}

var company, groups = sample()

// Company are the sixty people of the sample directory. A server that spells
// some of them otherwise says so by Server.People.
func Company() []Person { return slices.Clone(company) }

// Groups are its dozen groups. "Idle" has nobody.
func Groups() []Group { return slices.Clone(groups) }

func sample() (people []Person, groups []Group) {
	everyone := Group{Name: "Everyone"}
	units := make([]Group, len(Units))
	for line := range strings.Lines(staff) {
		f := strings.Split(line, "|")
		if len(f) != 4 {
			continue
		}
		for i := range f {
			f[i] = strings.TrimSpace(f[i])
		}
		unit := int(f[3][0] - '0')
		p := Person{UID: f[0], Given: f[1], Surname: f[2], Mail: f[0] + "@example.org", Unit: Units[unit], Title: titles[unit], Disabled: f[0] == DisabledUID}
		if n := len(people); n > 0 {
			p.Manager = people[(n-1)/8].UID
		}
		people = append(people, p)
		everyone.Members = append(everyone.Members, p.UID)
		units[unit].Name = "Unit " + Units[unit]
		units[unit].Members = append(units[unit].Members, p.UID)
	}
	groups = append(groups, everyone)
	groups = append(groups, units...)
	return people, append(groups,
		Group{Name: "App-Admins", Members: []string{"asmith", "ysato"}},
		Group{Name: "App-Users", Members: []string{"jmueller", "lwisn", "zlefevre", "nikos"}},
		Group{Name: "App-All", Groups: []string{"App-Admins", "App-Users"}},
		Group{Name: "App-Guests", Members: []string{"kim"}, Groups: []string{"App-All"}},
		Group{Name: "Büro Köln", Members: []string{"bkoehler", "weiss"}},
		Group{Name: "Idle"},
	)
}

// PersonPassword is everybody's.
const PersonPassword = "Rollcall-rig-1"
