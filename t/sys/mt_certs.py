"""mt_certs: certificates for tests, made with the openssl command below the tests' temporary directory."""
import os
import subprocess

from mt_base import SLOW, as_user, mkdir, own


class Authority:
    """A certificate authority; .pem is its certificate."""

    def __init__(self, name="ca"):
        self.dir, self.n = mkdir("ca-" + name), 0
        self.pem, self.key = self.dir + "/ca.pem", self.dir + "/ca.key"
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
                      "-subj", "/O=Margay tests/CN=" + name, "-keyout", self.key, "-out", self.pem)
        with open(self.dir + "/ca.cnf", "w") as f:
            f.write("[ca]\ndefault_ca=d\n[d]\ndatabase=%s/index\ndefault_md=sha256\ndefault_crl_days=30\n" % self.dir)
        open(self.dir + "/index", "w").close()
        self._own()

    def _openssl(self, *words):
        r = subprocess.run(["openssl"] + list(words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert r.returncode == 0, r.stdout

    def _own(self):
        for n in os.listdir(self.dir):
            own(self.dir + "/" + n)

    def issue(self, cn, san=None, days=30, key_type="ec"):
        """(certificate, key) files of a new certificate for that name."""
        self.n += 1
        at = "%s/%d" % (self.dir, self.n)
        new = ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"] if key_type == "ec" else ["rsa:2048"]
        self._openssl("req", "-new", "-newkey", *new, "-nodes", "-subj", "/O=Margay tests/CN=" + cn, "-keyout", at + ".key",
                      "-out", at + ".csr")
        with open(at + ".ext", "w") as f:
            f.write("subjectAltName=%s\n" % (san or "DNS:" + cn))
        self._openssl("x509", "-req", "-in", at + ".csr", "-CA", self.pem, "-CAkey", self.key, "-set_serial",
                      str(1000 + self.n), "-days", str(days), "-extfile", at + ".ext", "-out", at + ".pem")
        self._own()
        return at + ".pem", at + ".key"

    def revoke(self, pem=None):
        """A revocation list with that certificate in it, or an empty one."""
        if pem:
            self._openssl("ca", "-config", self.dir + "/ca.cnf", "-keyfile", self.key, "-cert", self.pem, "-revoke", pem)
        out = "%s/crl%d.pem" % (self.dir, self.n)
        self._openssl("ca", "-config", self.dir + "/ca.cnf", "-keyfile", self.key, "-cert", self.pem, "-gencrl", "-out", out)
        self._own()
        return out


def s_client(port, *words, text="\n", timeout=20):
    """openssl s_client -starttls mysql; its output. It ends when text has been sent."""
    r = subprocess.run(as_user(["openssl", "s_client", "-starttls", "mysql", "-connect", "127.0.0.1:%d" % port] + list(words)),
                       input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                       timeout=timeout * SLOW, cwd="/")
    return r.stdout
