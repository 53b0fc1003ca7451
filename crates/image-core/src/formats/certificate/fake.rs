//! Keys for tests, the same each time, and certificates for them.

use super::{Certificate, Subject, self_signed};
use crate::signature::{Error, PublicKey, Request, Signer};
use aws_lc_rs::{
    digest,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use p256::{
    ecdsa::{DerSignature, SigningKey, signature::hazmat::PrehashSigner as _},
    pkcs8::EncodePublicKey as _,
};
use x509_cert::der::pem;

/// Signs with a key that everybody can read.
#[derive(Debug)]
pub(crate) struct Fake {
    key: Key,
    public_key: PublicKey,
}

#[derive(Debug)]
enum Key {
    Rsa(RsaKeyPair),
    EcdsaP256(SigningKey),
}

/// RSA, 2048 bits.
pub(crate) fn rsa() -> Fake {
    let (_, der) = pem::decode_vec(RSA_2048.as_bytes()).unwrap();
    let key = RsaKeyPair::from_pkcs8(&der).unwrap();
    let public_key = aws_lc_rs::signature::KeyPair::public_key(&key);
    let info = aws_lc_rs::encoding::AsDer::as_der(public_key).unwrap();
    let info: aws_lc_rs::encoding::PublicKeyX509Der<'_> = info;
    let public_key = PublicKey::from_der(info.as_ref()).unwrap();
    Fake { key: Key::Rsa(key), public_key }
}

/// ECDSA over P-256, a key for each `seed` but 0.
pub(crate) fn ecdsa(seed: u8) -> Fake {
    let key = SigningKey::from_slice(&[seed; 32]).unwrap();
    let info = key.verifying_key().to_public_key_der().unwrap();
    let public_key = PublicKey::from_der(info.as_bytes()).unwrap();
    Fake { key: Key::EcdsaP256(key), public_key }
}

/// A certificate for the key, from 2020 until 2040.
pub(crate) fn certificate(common_name: &str, signer: &dyn Signer) -> Certificate {
    let subject = Subject { common_name, organization: "Example" };
    self_signed(&subject, 1_577_836_800..2_208_988_800, signer).unwrap()
}

impl Signer for Fake {
    fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    fn sign(&self, request: &Request<'_>) -> Result<Vec<u8>, Error> {
        match &self.key {
            Key::Rsa(key) => {
                let digest =
                    digest::Digest::import_less_safe(request.digest, &digest::SHA256).unwrap();
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign_digest(&RSA_PKCS1_SHA256, &digest, &mut signature).unwrap();
                Ok(signature)
            }
            Key::EcdsaP256(key) => {
                let signature: DerSignature = key.sign_prehash(request.digest).unwrap();
                Ok(signature.as_bytes().to_vec())
            }
        }
    }
}

/// Made for these tests; protects nothing.
const RSA_2048: &str = "-----BEGIN PRIVATE KEY-----
MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQCeMtaZKuL3e0sl
zlSf2534OJXrXlkubzKIO7r/AVVckrsfKSWRew/xaxwEs+xFT1K3rdwRKXaNOn25
NHsW71KwzhQLnpa31kPcfQsTBpg6xPMKewxP72E4MnICv3mWeBNcsuu95o2Wz7Z3
FbZhKWw497OvYGH/6lI0DesVCEQC7gRoQzI+8USWvb1+WMdQQUQrs9/YVozeoqra
xeTz3d3YK0eWPVh6As/V0Bn5M6q4Qr3MWpU2hscITmCVFHKomSF/QhrSp3djrvI6
lmRbTQAI4US7zP4FxydPSg3CaNOIMojjuDWS9oSQyCIj47xqFU9hez2KHjIHSkMs
UDsIUEQLAgMBAAECggEACrMu50aKpL6Gw1SEo2377fFggn5BKJjbdsduIG1QqWWV
7nJJWOD/9Q46OOnfzdhNpKAdGwljkVh8GcNo8pDWq6APTwc3nnuJiieS+4MeAhZB
cgYHO9OEZIP/nhv2ogIWcoCk3T/zd63Y445pEC1NupSrvJhCSJ2VWHFQjdL0oVX+
EDoKXZYUjo09Z1ZlghE/8zaBAmChg0AI7kYg3mNKv/IkulJo3jAa+AxR0BokNPXB
Srjs0YcJhJm/PXhm214o4wMzyMUXFdtMTrS//EjGkUeSlyGTDCkt9JRTUinoXAjC
cVMGdWzKLLyOFJHdxt0Mblc71cwItcNy6dqT4sy6cQKBgQDMrafKMgGX2F2RIlUL
s21ukV7C9wldL0zAkACU2st3Kg91zNZaz1l9JSRsb8CL3WsspUAZGZVgwW2RI/+Z
SFJ+iXq8v8zc/mcfV1EBxLc2tu0pxOW6OCDk+SOm8jr7JvR1+o9Logfcx7zZrF50
9vSJcYpIBC4WCN9kjkjCpUjavQKBgQDF3aNNvJhh5dBBWSNyvW71Q2g8SQv4XUaB
AnrSjS9J9o5wis8vh+BaRCLPqfKyywUZsR7mi4d1Y/1Zemtr2eI1ZIFm2o1MpNNE
xsuj56o4ZTJLKre0XCu9LAM3bW1rnW77fyfs4TpzVZyBCdTXwG5Ritqx2qZjHmdJ
zwh8gQZqZwKBgQCo/NNkyEaydMxD0MHAyGKYgGNpuwa7LhtDfWFNhRuqBkr/aqCs
Fzf+cBUThmzFzYj4MnOqhYnkea8Zv0v/5Ute9+kjP4RIDa9cm/3g5OaTwRIsg0lc
p4zZH63E34e85pu9cKKwwlWVfj+4xGy0S1T4yYpvDSxzut2eKy99rXNqTQKBgHDU
3tbpgQvyfTuGlUxM8gUylzIphYXvytCulVOT5y+KRdevkE5OcYWH7UH2a8vBMftg
oXpefrRWfJaV1MP/z5sa4R/B6WmXZFKH+oBRDyRxsKhkh7V2CgsqGft1jzwa3rrT
2/ScyzQR0dlTvef6d+5P/D4HrXJAWC4ivXgiK4JpAoGBAJB3/c7wpLTW5BoaXRCF
bzMzMebivt7l+76DKDcvxNW2KGrmzRnp9dcSyGjI3fibt8km6sQD5IYRbs2e32ur
RBRhl1PfARnX2HtypItdWJxsrunjIpOLB6ShvSS8otHf/6uzmELGuFNgfX2BW64Y
cjUB7bd0TdAj31fiWZL6kRYV
-----END PRIVATE KEY-----
";
