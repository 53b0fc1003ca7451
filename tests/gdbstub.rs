//! A small client of the GDB remote serial protocol, over QEMU's socket.
//!
//! Packets are `$data#checksum`, answered by `+`; numbers are hexadecimal.

use std::{
    io::{self, BufRead, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

/// A stopped or running machine.
pub struct Gdb {
    stream: BufReader<UnixStream>,
}

/// The general registers of x86-64 that the tests look at.
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    /// Accumulator.
    pub rax: u64,
    /// Counter.
    pub rcx: u64,
    /// Data.
    pub rdx: u64,
    /// Instruction pointer.
    pub rip: u64,
}

impl Gdb {
    /// Speaks to the machine behind a socket.
    pub fn connect(socket: &Path) -> io::Result<Self> {
        Ok(Self { stream: BufReader::new(UnixStream::connect(socket)?) })
    }

    fn send(&mut self, data: &str) -> io::Result<()> {
        let sum = data.bytes().fold(0_u8, u8::wrapping_add);
        write!(self.stream.get_mut(), "${data}#{sum:02x}")
    }

    fn receive(&mut self) -> io::Result<String> {
        let mut packet = Vec::new();
        self.stream.read_until(b'$', &mut packet)?;
        packet.clear();
        self.stream.read_until(b'#', &mut packet)?;
        if packet.pop() != Some(b'#') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut checksum = [0; 2];
        self.stream.read_exact(&mut checksum)?;
        self.stream.get_mut().write_all(b"+")?;
        String::from_utf8(packet).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    fn ask(&mut self, data: &str) -> io::Result<String> {
        self.send(data)?;
        let answer = self.receive()?;
        if answer.starts_with('E') {
            return Err(io::Error::other(format!("the stub answers {data} with {answer}")));
        }
        Ok(answer)
    }

    /// Stops the machine whenever it is about to execute `address`. This is the kind of
    /// breakpoint that needs no write to memory, so it may be set before the kernel is loaded.
    pub fn break_at(&mut self, address: u64) -> io::Result<()> {
        self.ask(&format!("Z1,{address:x},1")).map(drop)
    }

    /// Lets the machine run, without waiting for it to stop.
    pub fn go(&mut self) -> io::Result<()> {
        self.send("c")
    }

    /// Waits until the machine stops. False if it has not within `time`, or has gone.
    pub fn stopped_within(&mut self, time: Duration) -> io::Result<bool> {
        self.stream.get_ref().set_read_timeout(Some(time))?;
        let answer = self.receive();
        self.stream.get_ref().set_read_timeout(None)?;
        match answer {
            // "W" and "X": the machine has ended.
            Ok(answer) => Ok(answer.starts_with(['T', 'S'])),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock
                | io::ErrorKind::TimedOut
                | io::ErrorKind::UnexpectedEof
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::ConnectionReset => Ok(false),
                _ => Err(error),
            },
        }
    }

    /// The registers of a stopped x86-64.
    pub fn registers(&mut self) -> io::Result<Registers> {
        // rax rbx rcx rdx rsi rdi rbp rsp r8 … r15 rip, eight bytes each, in the machine's order.
        let all = bytes(&self.ask("g")?)?;
        let register = |number: usize| {
            let at = number * 8;
            all.get(at..at + 8)
                .and_then(|bytes| bytes.try_into().ok())
                .map(u64::from_le_bytes)
                .ok_or_else(|| io::Error::other("the stub gave too few registers"))
        };
        Ok(Registers {
            rax: register(0)?,
            rcx: register(2)?,
            rdx: register(3)?,
            rip: register(16)?,
        })
    }

    /// Memory of a stopped machine, by virtual address.
    pub fn memory(&mut self, address: u64, len: u64) -> io::Result<Vec<u8>> {
        let mut memory = Vec::new();
        while (memory.len() as u64) < len {
            let at = memory.len() as u64;
            let step = (len - at).min(1024);
            memory.extend(bytes(&self.ask(&format!("m{:x},{step:x}", address + at))?)?);
        }
        Ok(memory)
    }
}

fn bytes(hex: &str) -> io::Result<Vec<u8>> {
    (0..hex.len())
        .step_by(2)
        .map(|at| {
            let pair = hex.get(at..at + 2).unwrap_or("odd");
            u8::from_str_radix(pair, 16).map_err(|_| io::Error::other(format!("{pair} is no byte")))
        })
        .collect()
}
