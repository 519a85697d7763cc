package directory

import "strings"

// secrets are attributes that hold passwords, hashes of them or keys, by name in
// lower case: RFC 4519 and the password policies of servers, Active Directory
// (MS-ADA, MS-LAPS), Samba, Kerberos, FreeIPA and RFC 2798.
var secrets = map[string]bool{
	"unicodepwd": true, "dbcspwd": true, "lmpwdhistory": true, "ntpwdhistory": true, "supplementalcredentials": true, "pwdhistory": true,
	"ms-mcs-admpwd": true, "currentvalue": true, "priorvalue": true, "initialauthincoming": true, "initialauthoutgoing": true, "trustauthincoming": true,
	"trustauthoutgoing": true, "msds-managedpassword": true, "msds-keycredentiallink": true, "mskds-rootkeydata": true, "unixpassword": true,
	"userpkcs12": true, "krbprincipalkey": true, "krb5key": true, "krbextradata": true, "krbpwdhistory": true, "ipanthash": true, "sambanthash": true, "ipatokenotpkey": true,
	"pwmresponseset": true, "httppassword": true, "dspswuserpassword": true,
}

// stamps are attributes that sound like it and hold none: times, counts, and the DN
// of somebody's secretary.
var stamps = map[string]bool{"secretary": true, "tokengroups": true, "pwdfailuretime": true, "pwdgraceusetime": true, "sambapwdlastset": true, "sambapwdcanchange": true, "sambapwdmustchange": true, "krblastpwdchange": true, "krbpasswordexpiration": true,
	"passwordexpirationtime": true, "passwordexpwarned": true, "passwordretrycount": true, "passwordgraceusertime": true, "msds-userpasswordexpirytimecomputed": true,
	"ipanthashpasswordexpiration": true, "ms-mcs-admpwdexpirationtime": true, "mslaps-passwordexpirationtime": true, "passwordallowchangetime": true,
	"pwdlastset": true, "passwordlastset": true, "passwordlastchanged": true, "lastpasswordchangedatetime": true, "pwdchangedtime": true, "pwdaccountlockedtime": true, "pwdreset": true,
	"badpwdcount": true, "badpasswordtime": true, "passwordpolicies": true, "passwordchanged": true, "pwdpolicysubentry": true}

// Secret reports that an attribute may hold a secret: its values are shown to
// nobody. What is not known is judged by its name.
func Secret(attribute string) bool {
	name, _, _ := strings.Cut(strings.ToLower(attribute), ";")
	if secrets[name] {
		return true
	}
	if stamps[name] {
		return false
	}
	for _, word := range []string{"password", "passwd", "pwd", "passphrase", "credential", "secret", "privatekey", "krbprincipalkey", "krb5key", "krbmkey", "otp", "apikey", "token"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}
