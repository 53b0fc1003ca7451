//! A private key on a token, through the PKCS#11 module of its maker.
//!
//! The module is code of others that is loaded into this process; what it opens and reads is its
//! own affair.

mod uri;

pub use uri::Uri;

use super::signature_in;
use crate::signature::{Algorithm, Error, HashFunction, PublicKey, Request, Signer};
use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error as Refusal, RvError},
    mechanism::Mechanism,
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::{Session, UserType},
    slot::Slot,
    types::AuthPin,
};
use spki::der::{
    self, Decode, Encode,
    asn1::{AnyRef, BitStringRef, ObjectIdentifier, OctetStringRef, UintRef},
};
use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// The first bytes of a DigestInfo (RFC 8017, section 9.2, note 1), which the digest follows.
fn digest_info(hash: HashFunction) -> [u8; 19] {
    let (length, function) = match hash {
        HashFunction::Sha256 => (32, 1),
        HashFunction::Sha384 => (48, 2),
        HashFunction::Sha512 => (64, 3),
    };
    [
        0x30,
        0x11 + length,
        0x30,
        0x0d,
        0x06,
        0x09,
        0x60,
        0x86,
        0x48,
        0x01,
        0x65,
        0x03,
        0x04,
        0x02,
        function,
        0x05,
        0x00,
        0x04,
        length,
    ]
}

/// A private key that a token keeps, and the session it is used in.
pub struct Token {
    session: Mutex<Session>,
    private: ObjectHandle,
    key: PublicKey,
    /// The token's own name.
    label: String,
}

impl Token {
    /// Finds the one private key that `uri` describes. `pin` opens the token; `key` is its public
    /// half, from a certificate, for tokens that hold a P-256 key without it.
    ///
    /// # Errors
    /// [`Error::Signer`] if the module cannot be used, or there is not one such token or key;
    /// [`Error::Key`] if the PIN is wrong or the key is not fit to sign, or not that of `key`.
    pub fn open(uri: &Uri, pin: Option<&[u8]>, key: Option<&PublicKey>) -> Result<Self, Error> {
        let module = Pkcs11::new(&uri.module).map_err(|error| {
            let module = uri.module.display();
            Error::Signer(format!("the PKCS#11 module {module} cannot be used: {}", why(&error)))
        })?;
        let flags = CInitializeFlags::OS_LOCKING_OK;
        match module.initialize(CInitializeArgs::new(flags)) {
            // By the signer that was opened before this one.
            Err(Refusal::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) | Ok(()) => {}
            Err(error) => return Err(refused("the PKCS#11 module", &error)),
        }
        let (slot, label) = slot(&module, uri)?;
        let failed = |error| refused(&format!("the token {label}"), &error);
        let session = module.open_ro_session(slot).map_err(failed)?;
        log_in(&module, &session, slot, &label, pin)?;
        let private = private_key(&session, uri, &label)?;
        let found = public_key(&session, private).map_err(failed)?;
        let key = match (found, key) {
            (Some(found), Some(key)) if found != *key => {
                return Err(Error::Key(format!(
                    "the token {label} holds the {found}, and the certificate is of the {key}"
                )));
            }
            (Some(found), _) => found,
            (None, Some(key)) => key.clone(),
            (None, None) => {
                return Err(Error::Key(format!(
                    "the token {label} does not hold the public half of the key: \
                     give the certificate too"
                )));
            }
        };
        key.fit_to_sign()?;
        Ok(Self { session: Mutex::new(session), private, key, label })
    }
}

impl Signer for Token {
    fn public_key(&self) -> &PublicKey {
        &self.key
    }

    fn sign(&self, request: &Request<'_>) -> Result<Vec<u8>, Error> {
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let signed = match self.key.algorithm() {
            Algorithm::Rsa => {
                let info = [&digest_info(request.hash)[..], request.digest].concat();
                session.sign(&Mechanism::RsaPkcs, self.private, &info)
            }
            Algorithm::EcdsaP256 => session.sign(&Mechanism::Ecdsa, self.private, request.digest),
        };
        let signed =
            signed.map_err(|error| refused(&format!("the token {}", self.label), &error))?;
        signature_in(&signed, &self.key, request).ok_or_else(|| {
            Error::Signer(format!(
                "the token {} answered with no signature of {} by the {}",
                self.label, request.what, self.key
            ))
        })
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("label", &self.label)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// The slot of the one token that `uri` describes, and the token's name.
fn slot(module: &Pkcs11, uri: &Uri) -> Result<(Slot, String), Error> {
    let failed = |error| refused("the PKCS#11 module", &error);
    let mut seen = Vec::new();
    let mut fitting = Vec::new();
    for slot in module.get_slots_with_initialized_token().map_err(failed)? {
        let info = module.get_token_info(slot).map_err(failed)?;
        let label = info.label().trim_end().to_owned();
        if uri.fits_token(&label, &info, slot.id()) {
            fitting.push((slot, label.clone()));
        }
        seen.push(format!("token={label};serial={}", info.serial_number().trim_end()));
    }
    match (fitting.pop(), fitting.is_empty()) {
        (Some(found), true) => Ok(found),
        (Some(_), false) => Err(Error::Signer(format!(
            "several tokens fit the PKCS#11 URI: say which one of {}",
            seen.join(", ")
        ))),
        (None, _) if seen.is_empty() => {
            Err(Error::Signer(format!("the PKCS#11 module {} sees no token", uri.module.display())))
        }
        (None, _) => Err(Error::Signer(format!(
            "no token fits the PKCS#11 URI: there is {}",
            seen.join(", ")
        ))),
    }
}

fn log_in(
    module: &Pkcs11,
    session: &Session,
    slot: Slot,
    label: &str,
    pin: Option<&[u8]>,
) -> Result<(), Error> {
    let failed = |error| refused(&format!("the token {label}"), &error);
    let info = module.get_token_info(slot).map_err(failed)?;
    let pin = match pin {
        Some(pin) => {
            let pin = std::str::from_utf8(pin)
                .map_err(|_| Error::Key("the PIN is not UTF-8".to_owned()))?;
            Some(AuthPin::new(pin.into()))
        }
        None if !info.login_required() => return Ok(()),
        // The device has keys of its own to type it at.
        None if info.protected_authentication_path() => None,
        None => {
            return Err(Error::Key(format!(
                "the token {label} wants its PIN: name a file with it, pin-source=file:PATH"
            )));
        }
    };
    match session.login(UserType::User, pin.as_ref()) {
        Ok(()) | Err(Refusal::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
        Err(Refusal::Pkcs11(
            RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange,
            _,
        )) => Err(Error::Key(format!(
            "the PIN of the token {label} is wrong; it locks itself when that happens too often"
        ))),
        Err(error) => Err(failed(error)),
    }
}

/// The one private key that `uri` describes.
fn private_key(session: &Session, uri: &Uri, label: &str) -> Result<ObjectHandle, Error> {
    let failed = |error| refused(&format!("the token {label}"), &error);
    let class = Attribute::Class(ObjectClass::PRIVATE_KEY);
    let mut template = vec![class.clone()];
    template.extend(uri.object.clone().map(|object| Attribute::Label(object.into_bytes())));
    template.extend(uri.id.clone().map(Attribute::Id));
    let fitting = session.find_objects(&template).map_err(failed)?;
    if let [key] = fitting[..] {
        return Ok(key);
    }
    let none = fitting.is_empty();
    let named = if none { session.find_objects(&[class]).map_err(failed)? } else { fitting };
    let mut there: Vec<_> = named.iter().map(|key| named_in_uri(session, *key)).collect();
    there.sort();
    let there = there.join(", ");
    Err(Error::Signer(if named.is_empty() {
        format!("the token {label} shows no private key")
    } else if none {
        format!("no private key of the token {label} fits the PKCS#11 URI: there is {there}")
    } else {
        format!(
            "several private keys of the token {label} fit the PKCS#11 URI: say which of {there}"
        )
    }))
}

/// What a URI would say to mean this object.
fn named_in_uri(session: &Session, object: ObjectHandle) -> String {
    let attributes = session.get_attributes(object, &[AttributeType::Label, AttributeType::Id]);
    let mut parts = Vec::new();
    for attribute in attributes.unwrap_or_default() {
        match attribute {
            Attribute::Label(label) => {
                parts.push(format!("object={}", String::from_utf8_lossy(&label)));
            }
            Attribute::Id(id) => {
                parts.push(format!("id={}", uri::percent_encoded(&id)));
            }
            _ => {}
        }
    }
    parts.join(";")
}

/// The public half, as far as the token tells it.
fn public_key(session: &Session, private: ObjectHandle) -> Result<Option<PublicKey>, Refusal> {
    use AttributeType as Type;
    let wanted = [Type::KeyType, Type::Modulus, Type::PublicExponent, Type::Id];
    let (mut modulus, mut exponent, mut key_type, mut id) = (None, None, None, None);
    for attribute in session.get_attributes(private, &wanted)? {
        match attribute {
            Attribute::Modulus(number) => modulus = Some(number),
            Attribute::PublicExponent(number) => exponent = Some(number),
            Attribute::KeyType(found) => key_type = Some(found),
            Attribute::Id(found) => id = Some(found),
            _ => {}
        }
    }
    if let (Some(modulus), Some(exponent)) = (modulus, exponent) {
        return Ok(rsa(&modulus, &exponent).ok());
    }
    // The numbers of other keys stand in an object beside the private one, of the same identifier.
    let (Some(KeyType::EC), Some(id)) = (key_type, id) else { return Ok(None) };
    let template = [Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::Id(id)];
    let (mut curve, mut point) = (None, None);
    if let [public] = session.find_objects(&template)?[..] {
        for attribute in session.get_attributes(public, &[Type::EcParams, Type::EcPoint])? {
            match attribute {
                Attribute::EcParams(der) => curve = Some(der),
                Attribute::EcPoint(der) => point = Some(der),
                _ => {}
            }
        }
    }
    Ok(curve.zip(point).and_then(|(curve, point)| ec(&curve, &point).ok()))
}

fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<PublicKey, Error> {
    let numbers = [UintRef::new(modulus), UintRef::new(exponent)];
    let key = numbers.into_iter().collect::<der::Result<Vec<_>>>().and_then(|numbers| {
        // A sequence of the two.
        numbers.to_der()
    });
    info(RSA, AnyRef::NULL, &key.map_err(damaged)?)
}

fn ec(curve: &[u8], point: &[u8]) -> Result<PublicKey, Error> {
    let curve = AnyRef::from_der(curve).map_err(damaged)?;
    // By the standard it is wrapped, and some modules do not know it.
    let point = OctetStringRef::from_der(point).map_or(point, |inside| inside.as_bytes());
    info(EC, curve, point)
}

fn info(oid: ObjectIdentifier, parameters: AnyRef<'_>, key: &[u8]) -> Result<PublicKey, Error> {
    let info = spki::SubjectPublicKeyInfoRef {
        algorithm: spki::AlgorithmIdentifierRef { oid, parameters: Some(parameters) },
        subject_public_key: BitStringRef::from_bytes(key).map_err(damaged)?,
    };
    PublicKey::from_der(&info.to_der().map_err(damaged)?)
}

fn damaged(error: der::Error) -> Error {
    Error::Key(format!("the public key on the token is damaged: {error}"))
}

fn refused(who: &str, error: &Refusal) -> Error {
    Error::Signer(format!("{who} refuses: {}", why(error)))
}

/// Modules have no words for what went wrong but the names of the standard.
fn why(error: &Refusal) -> String {
    match error {
        Refusal::Pkcs11(value, function) => format!("{value:?} ({function})"),
        Refusal::LibraryLoading(error) => error.to_string(),
        other => other.to_string(),
    }
}
