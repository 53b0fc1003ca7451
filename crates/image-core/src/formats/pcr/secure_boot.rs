//! What PCR 7 will hold: whom the firmware trusts, and whom it had to.
//!
//! Specification: TCG PC Client Platform Firmware Profile 1.06, section 3.3.4.8 "PCR[7]"; events
//! hold a `UEFI_VARIABLE_DATA` (section 10.2.6).

use super::{Values, measure, zeros};
use crate::signature::HashFunction;
use uuid::{Uuid, uuid};

/// `EFI_GLOBAL_VARIABLE`.
const GLOBAL: Uuid = uuid!("8be4df61-93ca-11d2-aa0d-00e098032b8c");
/// `EFI_IMAGE_SECURITY_DATABASE_GUID`.
const DATABASE: Uuid = uuid!("d719b2cb-3d3a-4596-a3bc-dad00e67656f");

/// The firmware's variables of Secure Boot, each as it is read: `EFI_SIGNATURE_LIST`s, one after
/// another. Empty is as absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Variables<'a> {
    /// `PK`, who owns the machine.
    pub platform_key: &'a [u8],
    /// `KEK`, who may change the two below.
    pub key_exchange_keys: &'a [u8],
    /// `db`, what may boot.
    pub allowed: &'a [u8],
    /// `dbx`, what may not.
    pub forbidden: &'a [u8],
}

/// PCR 7 after a boot with Secure Boot on. `authorities` are the entries of `db` by which programs
/// were allowed, each an `EFI_SIGNATURE_DATA` (owner and certificate), each once, in the order in
/// which they first were.
pub fn secure_boot(
    variables: &Variables<'_>,
    authorities: &[&[u8]],
    banks: &[HashFunction],
) -> Values {
    let mut register = zeros(banks);
    let configuration = [
        (GLOBAL, "SecureBoot", &[1][..]),
        (GLOBAL, "PK", variables.platform_key),
        (GLOBAL, "KEK", variables.key_exchange_keys),
        (DATABASE, "db", variables.allowed),
        (DATABASE, "dbx", variables.forbidden),
    ];
    for (vendor, name, data) in configuration {
        measure(&mut register, &event(vendor, name, data));
    }
    // EV_SEPARATOR
    measure(&mut register, &[0; 4]);
    for authority in authorities {
        measure(&mut register, &event(DATABASE, "db", authority));
    }
    register
}

/// `UEFI_VARIABLE_DATA`.
fn event(vendor: Uuid, name: &str, data: &[u8]) -> Vec<u8> {
    let characters: Vec<_> = name.encode_utf16().collect();
    let mut event = vendor.to_bytes_le().to_vec();
    event.extend((characters.len() as u64).to_le_bytes());
    event.extend((data.len() as u64).to_le_bytes());
    event.extend(characters.into_iter().flat_map(u16::to_le_bytes));
    event.extend(data);
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::hexadecimal;

    /// What the TPM of a virtual machine held (EDK2 2025.02): one certificate is `PK`, `KEK` and
    /// `db` and signed all; `dbx` forbids the empty program.
    #[test]
    fn firmware_measures_the_same() {
        let keys = include_bytes!("../../../tests/golden/pcr/db.esl");
        let list = uuid!("c1c41626-504c-4092-aca9-41f936934328").to_bytes_le();
        let owner = uuid!("a0baa8a3-041d-48a8-bc87-c36d121b5e3d").to_bytes_le();
        let sizes = [76, 0, 48].map(u32::to_le_bytes).concat();
        let empty = HashFunction::Sha256.digest(b"");
        let forbidden = [&list[..], &sizes, &owner, &empty].concat();
        let variables = Variables {
            platform_key: keys,
            key_exchange_keys: keys,
            allowed: keys,
            forbidden: &forbidden,
        };
        let value = secure_boot(&variables, &[&keys[28..]], &[HashFunction::Sha256]);
        assert_eq!(
            hexadecimal(&value[&HashFunction::Sha256]),
            "397c68a1f9670ef777d8679e93f0cbfce8611f5fe2cad67efa6fc8ff0e86ed30"
        );
    }
}
