//! The keys of Secure Boot and measured boot: their usual file names, and what firmware is told of
//! them.

use crate::formats::{
    certificate::Certificate,
    efi_variable::{Entry, Variable},
};
use sha2::{Digest as _, Sha256};
use uuid::{Builder, Uuid, uuid};

/// The private key that systemd-boot and the unified kernel image are signed with.
pub const UKI_KEY: &str = "uki-signing-key.pem";
/// The certificate that belongs to [`UKI_KEY`].
pub const UKI_CERTIFICATE: &str = "uki-signing-cert.pem";
/// The same in DER, as firmware takes it from a menu.
pub const UKI_CERTIFICATE_DER: &str = "uki-signing-cert.der";
/// The private key that the expected values of PCR 11 are signed with.
pub const PCR_KEY: &str = "pcr-signing-key.pem";

/// Whom Microsoft's certificates in a variable belong to.
pub const MICROSOFT: Uuid = uuid!("77fa9abd-0359-4d32-bd60-28f4e78f784b");

/// The file with the signed order to set a variable.
pub fn auth_file(variable: Variable) -> String {
    format!("{}.auth", variable.name())
}

/// Whom a certificate in a variable belongs to: follows from the PEM file it came in.
pub fn owner(pem: &[u8]) -> Uuid {
    let hash = Sha256::new().chain_update(Uuid::NAMESPACE_X500).chain_update(pem).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    Builder::from_random_bytes(bytes).into_uuid()
}

/// Certificates of Microsoft's that firmware is to trust beside ours.
#[derive(Clone, Debug, Default)]
pub struct Microsoft {
    /// Those whose keys may change the databases.
    pub kek: Vec<Certificate>,
    /// Those whose keys sign other operating systems and the firmware of extension cards.
    pub db: Vec<Certificate>,
}

/// What the variables of Secure Boot are to hold, in the order of [`Variable`]: our certificate,
/// out of the file `pem`, in each, so that one key stands for all.
pub fn variables(
    pem: &[u8],
    certificate: &Certificate,
    microsoft: &Microsoft,
) -> [(Variable, Vec<Entry>); 3] {
    let ours = Entry::certificate(owner(pem), certificate);
    let with = |theirs: &[Certificate]| {
        let theirs = theirs.iter().map(|certificate| Entry::certificate(MICROSOFT, certificate));
        std::iter::once(ours.clone()).chain(theirs).collect()
    };
    [
        (Variable::PlatformKey, with(&[])),
        (Variable::KeyExchangeKey, with(&microsoft.kek)),
        (Variable::Database, with(&microsoft.db)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_follows_from_the_file_of_the_certificate() {
        let owner = owner(b"-----BEGIN CERTIFICATE-----\n");
        assert_eq!(owner, uuid!("e5357df0-c5c3-4d78-b0f9-722a7d5b8535"));
    }
}
