package directory

import "testing"

func TestAttributesThatMayHoldASecretAreKnownByTheirNames(t *testing.T) {
	for name, want := range map[string]bool{
		"userPassword": true, "USERPASSWORD": true, "userPassword;lang-de": true, "unicodePwd": true, "ntPwdHistory": true, "sambaNTPassword": true, "sambaLMPassword": true,
		"ms-Mcs-AdmPwd": true, "msLAPS-Password": true, "msLAPS-EncryptedPassword": true, "supplementalCredentials": true, "krbPrincipalKey": true, "ipaNTHash": true,
		"userPKCS12": true, "acmeSecret": true, "appPassword": true, "pwdHistory": true, "kennwortPwd": true,
		"mail": false, "pwdLastSet": false, "badPwdCount": false, "pwdChangedTime": false, "pwdAccountLockedTime": false, "sambaPwdLastSet": false,
		"krbPasswordExpiration": false, "secretary": false, "msDS-UserPasswordExpiryTimeComputed": false, "userCertificate": false,
	} {
		if Secret(name) != want {
			t.Errorf("%s: %v", name, Secret(name))
		}
	}
}
