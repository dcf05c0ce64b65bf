import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.Principal;
import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import java.util.Arrays;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import javax.net.ssl.KeyManager;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.SSLSession;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509KeyManager;

/**
 * A TLS server and a client who shows a certificate too, both with keys in the token: every version and kind of key.
 * The token holds the entries "rsa" and "ec".
 */
public final class Tls {
    private Tls() {
    }

    public static void main(String[] arguments) throws Exception {
        Token token = new Token(arguments);
        KeyStore trusted = KeyStore.getInstance(KeyStore.getDefaultType());
        trusted.load(null, null);
        for (String alias : new String[] {"rsa", "ec"}) {
            trusted.setCertificateEntry(alias, token.store.getCertificate(alias));
        }
        for (String version : new String[] {"TLSv1.2", "TLSv1.3"}) {
            for (String server : new String[] {"rsa", "ec"}) {
                for (String client : new String[] {"ec", "rsa"}) {
                    SSLSession session = handshake(
                        context(token.store, trusted, server), context(token.store, trusted, client), version);
                    check(session, version, trusted, server);
                    System.out.println(version + " server " + server + " client " + client);
                }
            }
        }
        System.exit(0);
    }

    private static void check(SSLSession session, String version, KeyStore trusted, String server) throws Exception {
        Token.check(session.getProtocol().equals(version), "the version asked for");
        Token.check(session.getPeerCertificates()[0].equals(trusted.getCertificate(server)), "the server's certificate");
    }

    private static SSLContext context(KeyStore keys, KeyStore trusted, String alias) throws Exception {
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(trusted);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(new KeyManager[] {new One(keys, alias)}, trust.getTrustManagers(), null);
        return context;
    }

    /** The client says "ping" and is answered with the same; returns what the client knows of the server. */
    private static SSLSession handshake(SSLContext serving, SSLContext asking, String version) throws Exception {
        ExecutorService threads = Executors.newSingleThreadExecutor();
        InetAddress here = InetAddress.getLoopbackAddress();
        try (SSLServerSocket server = (SSLServerSocket) serving.getServerSocketFactory().createServerSocket(0, 1, here)) {
            server.setNeedClientAuth(true);
            server.setEnabledProtocols(new String[] {version});
            Future<Boolean> served = threads.submit((Callable<Boolean>) () -> {
                try (Socket accepted = server.accept()) {
                    InputStream input = accepted.getInputStream();
                    accepted.getOutputStream().write(input.readNBytes(4));
                    return true;
                }
            });
            try (SSLSocket client =
                    (SSLSocket) asking.getSocketFactory().createSocket(here, server.getLocalPort())) {
                client.setSoTimeout(60_000);
                OutputStream output = client.getOutputStream();
                output.write("ping".getBytes());
                Token.check(new String(client.getInputStream().readNBytes(4)).equals("ping"), "the answer");
                Token.check(served.get(), "the server's end");
                return client.getSession();
            }
        } finally {
            threads.shutdownNow();
        }
    }

    /** A key manager that knows one entry, whatever the peer would take. */
    private record One(KeyStore keys, String alias) implements X509KeyManager {
        private String chosen(String... keyTypes) {
            String algorithm = getPrivateKey(alias).getAlgorithm();
            return Arrays.stream(keyTypes).anyMatch(keyType -> keyType.startsWith(algorithm)) ? alias : null;
        }

        @Override
        public String chooseClientAlias(String[] keyTypes, Principal[] issuers, Socket socket) {
            return chosen(keyTypes);
        }

        @Override
        public String chooseServerAlias(String keyType, Principal[] issuers, Socket socket) {
            return chosen(keyType);
        }

        @Override
        public String[] getClientAliases(String keyType, Principal[] issuers) {
            return new String[] {alias};
        }

        @Override
        public String[] getServerAliases(String keyType, Principal[] issuers) {
            return new String[] {alias};
        }

        @Override
        public X509Certificate[] getCertificateChain(String name) {
            try {
                return new X509Certificate[] {(X509Certificate) keys.getCertificate(name)};
            } catch (GeneralSecurityException problem) {
                throw new AssertionError(problem);
            }
        }

        @Override
        public PrivateKey getPrivateKey(String name) {
            try {
                return (PrivateKey) keys.getKey(name, null);
            } catch (GeneralSecurityException problem) {
                throw new AssertionError(problem);
            }
        }
    }
}
