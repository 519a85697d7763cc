package people

// A locale gives names in its own script beside their plain Latin spelling
// (for user names and addresses), telephone numbers that are valid there, and
// what its people put into preferredLanguage. In the patterns of numbers each
// # is a digit.
type locale struct {
	languages []string
	mobile    string
	phone     string
	cities    []string
	first     []string // "Zoë|zoe"
	last      []string
}

var locales = []locale{
	{
		languages: []string{"en", "en-GB"}, mobile: "+44 7400 ######", phone: "+44 20 7946 0###", cities: []string{"London", "Leeds", "Cork"},
		first: []string{"Alice|alice", "Oliver|oliver", "Grace|grace", "Harry|harry", "Siân|sian", "Niamh|niamh", "George|george", "Emily|emily"},
		last:  []string{"Smith|smith", "O'Brien|obrien", "Taylor|taylor", "Evans|evans", "Walker-Jones|walker-jones", "Wright|wright", "Hughes|hughes", "Clarke|clarke"},
	},
	{
		languages: []string{"fr", "fr-BE", "fr_FR"}, mobile: "+33 6 12 ## ## ##", phone: "+33 1 42 ## ## ##", cities: []string{"Liège", "Orléans", "Paris"},
		first: []string{"Zoé|zoe", "François|francois", "Hélène|helene", "Jérôme|jerome", "Chloé|chloe", "Maël|mael", "Inès|ines", "Théo|theo"},
		last:  []string{"Lefèvre|lefevre", "Dupont|dupont", "D'Angelo|dangelo", "Gérard|gerard", "Noël|noel", "de la Tour|delatour", "Béranger|beranger", "Œuvrard|oeuvrard"},
	},
	{
		languages: []string{"nl", "nl-BE"}, mobile: "+32 47# ## ## ##", phone: "+32 2 5## ## ##", cities: []string{"Gent", "Brussel", "Antwerpen"},
		first: []string{"Daan|daan", "Sofie|sofie", "Jeroen|jeroen", "Anaïs|anais", "Loïc|loic", "Femke|femke", "Bram|bram", "Noor|noor"},
		last:  []string{"Peeters|peeters", "van den Berg|vandenberg", "'t Hooft|thooft", "De Smet|desmet", "Coëlho|coelho", "Maes|maes", "IJsbrand|ijsbrand", "Claes|claes"},
	},
	{
		languages: []string{"de", "de-AT", "DE"}, mobile: "+49 151 1#######", phone: "+49 30 2#######", cities: []string{"Köln", "München", "Graz"},
		first: []string{"Jörg|joerg", "Käthe|kaethe", "Günther|guenther", "Anke|anke", "Sören|soeren", "Liesl|liesl", "Björn|bjoern", "Ute|ute"},
		last:  []string{"Müller|mueller", "Groß|gross", "Schäfer|schaefer", "Weiß|weiss", "von Öttingen|oettingen", "Köhler|koehler", "Schmidt|schmidt", "Jäger|jaeger"},
	},
	{
		languages: []string{"pl", "pl-PL"}, mobile: "+48 501 ### ###", phone: "+48 22 5## ## ##", cities: []string{"Łódź", "Kraków", "Gdańsk"},
		first: []string{"Łukasz|lukasz", "Małgorzata|malgorzata", "Zdzisław|zdzislaw", "Agnieszka|agnieszka", "Paweł|pawel", "Żaneta|zaneta", "Michał|michal", "Ewa|ewa"},
		last:  []string{"Wiśniewska|wisniewska", "Dąbrowski|dabrowski", "Wójcik|wojcik", "Kamińska|kaminska", "Zając|zajac", "Ślusarczyk|slusarczyk", "Król|krol", "Gołębiewska|golebiewska"},
	},
	{
		languages: []string{"tr", "tr-TR"}, mobile: "+90 532 ### ## ##", phone: "+90 212 29# ## ##", cities: []string{"İstanbul", "İzmir", "Ankara"},
		first: []string{"İbrahim|ibrahim", "Ayşe|ayse", "Çağrı|cagri", "Gülşen|gulsen", "Işıl|isil", "Mehmet|mehmet", "Ömer|omer", "Şule|sule"},
		last:  []string{"Yılmaz|yilmaz", "Öztürk|ozturk", "Çelik|celik", "Şahin|sahin", "Koç|koc", "Aydın|aydin", "Güneş|gunes", "Kılıç|kilic"},
	},
	{
		languages: []string{"el", "el-GR"}, mobile: "+30 694 ### ####", phone: "+30 210 3## ####", cities: []string{"Αθήνα", "Πάτρα", "Θεσσαλονίκη"},
		first: []string{"Γιώργος|giorgos", "Ελένη|eleni", "Νίκος|nikos", "Σοφία|sofia", "Δημήτρης|dimitris", "Άννα|anna", "Θανάσης|thanasis", "Ζωή|zoi"},
		last:  []string{"Παπαδόπουλος|papadopoulos", "Νικολάου|nikolaou", "Οικονόμου|oikonomou", "Καραγιάννης|karagiannis", "Αγγελής|angelis", "Βλάχος|vlachos", "Σταύρου|stavrou", "Ρήγας|rigas"},
	},
	{
		languages: []string{"ja", "ja-JP"}, mobile: "+81 90 1### ####", phone: "+81 3 5### ####", cities: []string{"東京", "大阪", "京都"},
		first: []string{"陽子|yoko", "健一|kenichi", "さくら|sakura", "翔太|shota", "美咲|misaki", "大輔|daisuke", "ユキ|yuki", "誠|makoto"},
		last:  []string{"佐藤|sato", "鈴木|suzuki", "高橋|takahashi", "田中|tanaka", "渡辺|watanabe", "髙島|takashima", "小林|kobayashi", "𠮷田|yoshida"},
	},
}

// units are the folders people live in. One has a comma, two are not ASCII.
var units = []string{
	"Accounting", "Administration", "Consulting", "Customer Care", "Design", "Engineering", "Facilities", "Finance",
	"Human Resources", "Legal", "Logistics", "Maintenance", "Operations", "Procurement", "Production", "Sales, Marketing",
	"Security", "Support", "Qualitätssicherung", "研究開発",
}

var titles = []string{
	"Analyst", "Architect", "Assistant", "Buyer", "Clerk", "Consultant", "Controller", "Designer", "Developer", "Engineer",
	"Lawyer", "Nurse", "Planner", "Technician", "Tester", "Writer",
}
